import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const npmPatterns: readonly StarterPattern[] = defineStarter('npm', [
  {
    name: 'unresolvable-tree',
    title: 'the dependency tree has no solution',
    type: 'dependency-conflict',
    severity: 'error',
    regex: /\bnpm (?:ERR!|error) (?:code )?ERESOLVE\b|\bERR_PNPM_PEER_DEP_ISSUES\b/,
    matches: [
      'npm ERR! code ERESOLVE\nnpm ERR! ERESOLVE unable to resolve dependency tree',
      'npm error code ERESOLVE',
    ],
    misses: ['npm resolves the tree'],
  },
  {
    name: 'package-not-found',
    title: 'the registry has no such package or version',
    type: 'missing-dependency',
    severity: 'error',
    regex:
      /\bnpm (?:ERR!|error) code (?:E404|ETARGET)\b|\bERR_PNPM_(?:FETCH_404|NO_MATCHING_VERSION)\b|^error Couldn't find (?:any versions for|package) "/m,
    matches: [
      'npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://registry.example.com/nope',
      ' ERR_PNPM_FETCH_404  GET https://registry.example.com/nope: Not Found - 404',
      'error Couldn\'t find any versions for "react" that matches "99"',
    ],
    misses: ['npm 404 page'],
  },
  {
    name: 'missing-script',
    title: 'package.json has no such script',
    type: 'configuration',
    severity: 'error',
    regex: /\b[Mm]issing script: "?[\w:.-]+|\bERR_PNPM_NO_SCRIPT\b/,
    matches: [
      'npm error Missing script: "biuld"',
      'npm ERR! missing script: start',
      'ERR_PNPM_NO_SCRIPT  Missing script: dev',
    ],
    misses: ['the missing script of the film'],
  },
  {
    name: 'lifecycle-failed',
    title: 'a script of a package failed',
    type: 'command',
    severity: 'error',
    regex:
      /\bnpm (?:ERR!|error) (?:code ELIFECYCLE|Lifecycle script `[^`\n]+` failed|command failed)|^\s*ELIFECYCLE\b/m,
    matches: [
      'npm ERR! code ELIFECYCLE\nnpm ERR! errno 1',
      ' ELIFECYCLE  Command failed with exit code 1.',
      'npm error Lifecycle script `build` failed with error:',
    ],
    misses: ['the lifecycle of a package'],
  },
  {
    name: 'lockfile-out-of-date',
    title: 'the lockfile does not fit package.json',
    type: 'dependency-conflict',
    severity: 'error',
    regex:
      /\bERR_PNPM_(?:OUTDATED|FROZEN)_LOCKFILE\w*|\bcan only install packages when your package\.json and package-lock\.json/,
    matches: [
      ' ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date',
      'npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync.',
    ],
    misses: ['keep the lockfile'],
  },
  {
    name: 'integrity',
    title: 'a downloaded package is not what the lockfile says',
    type: 'dependency-conflict',
    severity: 'error',
    regex: /\bnpm (?:ERR!|error) code EINTEGRITY\b|\bERR_PNPM_TARBALL_INTEGRITY\b/,
    matches: ['npm ERR! code EINTEGRITY\nnpm ERR! sha512-... integrity checksum failed'],
    misses: ['the integrity of the data'],
  },
  {
    name: 'engine',
    title: 'the package wants another Node',
    type: 'configuration',
    severity: 'warning',
    regex: /\bnpm (?:WARN|warn|ERR!|error) (?:code )?EBADENGINE\b|\bERR_PNPM_UNSUPPORTED_ENGINE\b/,
    matches: ['npm warn EBADENGINE Unsupported engine {'],
    misses: ['a bad engine in the car'],
  },
  {
    name: 'vulnerabilities',
    title: 'the audit found severe vulnerabilities',
    type: 'configuration',
    severity: 'warning',
    regex: /\b[1-9]\d* (?:[a-z ]+)?vulnerabilit(?:y|ies) \([^)\n]*\b(?:high|critical)\b/,
    matches: ['7 vulnerabilities (2 moderate, 4 high, 1 critical)', '1 vulnerability (1 high)'],
    misses: ['found 0 vulnerabilities', '2 vulnerabilities (2 low)'],
  },
  {
    name: 'native-build',
    title: 'a native addon does not build',
    type: 'build',
    severity: 'error',
    regex:
      /\bgyp ERR! (?:build error|configure error|stack Error|not ok)|\bnode-gyp(?:: | )(?:not found|rebuild failed)/,
    matches: [
      'gyp ERR! build error\ngyp ERR! stack Error: `make` failed with exit code: 2',
      'sh: node-gyp: not found',
    ],
    misses: ['gyp info ok'],
  },
]);
