// Checks of the house that `turbo boundaries` does not make. It covers undeclared dependencies, imports that leave the
// package and dependencies against the tags; this covers what ships: `src` of a package may import neither the bench
// harness nor dev dependencies, nobody reaches into another package's `src` or `dist`, outside versions come from the
// catalog, a kernel's workspace dependency is `@perf/sqlite` alone, and no file is named after nothing.
// Usage: node tooling/layering.ts [root]    exit code 1 and one line per finding when a rule is broken.
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { parseSync } from 'vite';
import { filesBelow, workspacePackages, workspaceRoot } from './workspace.ts';
import type { WorkspacePackage } from './workspace.ts';

export interface Finding {
  readonly file: string;
  readonly rule: string;
  readonly message: string;
}

const namedAfterNothing = /^(utils?|helpers?|common|misc|shared|core|types)(\.|$)/;

/** All findings below `root`; empty when the house is in order. */
export function checkLayering(root: string = workspaceRoot): Finding[] {
  const findings: Finding[] = [];
  for (const pkg of workspacePackages(root)) {
    findings.push(...checkManifest(pkg));
    for (const file of filesBelow(pkg.dir, '.ts')) {
      const relative = path.relative(root, file).replaceAll(path.sep, '/');
      if (relative.includes('/fixtures/') || relative.startsWith('bench/peers/')) continue;
      if (relative.split('/').some((part) => namedAfterNothing.test(part))) {
        findings.push({
          file: relative,
          rule: 'names',
          message: 'is named after nothing; name it after what it holds',
        });
      }
      const shipped = relative.startsWith(`${pkg.folder}/src/`);
      for (const specifier of importsOf(file)) {
        const problem = checkImport(pkg, specifier, shipped);
        if (problem !== undefined) findings.push({ file: relative, rule: 'imports', message: problem });
      }
    }
  }
  return findings;
}

function checkManifest(pkg: WorkspacePackage): Finding[] {
  const findings: Finding[] = [];
  const file = `${pkg.folder}/package.json`;
  const { dependencies = {}, devDependencies = {}, peerDependencies = {} } = pkg.manifest;
  for (const [name, version] of Object.entries({
    ...dependencies,
    ...devDependencies,
    ...peerDependencies,
  })) {
    if (!version.startsWith('catalog:') && !version.startsWith('workspace:')) {
      findings.push({ file, rule: 'catalog', message: `${name}@${version} does not come from the catalog` });
    }
  }
  if (pkg.tag === undefined)
    findings.push({ file, rule: 'tags', message: 'has no boundary tag in its turbo.json' });
  if (pkg.tag === 'foundation' || pkg.tag === 'kernel') {
    for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
      if (name.startsWith('@perf/') && (pkg.tag === 'foundation' || name !== '@perf/sqlite')) {
        findings.push({ file, rule: 'layers', message: `a ${pkg.tag} package may not depend on ${name}` });
      }
    }
  }
  return findings;
}

function checkImport(pkg: WorkspacePackage, specifier: string, shipped: boolean): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('#') || specifier.startsWith('node:'))
    return undefined;
  if (builtinModules.includes(specifier)) return `import '${specifier}' as 'node:${specifier}'`;
  if (/^@perf\/[^/]+\/(src|dist)(\/|$)/.test(specifier))
    return `reaches into ${specifier}; import the package's exports`;
  if (!shipped) return undefined;
  const [first = '', second = ''] = specifier.split('/');
  const name = first.startsWith('@') ? `${first}/${second}` : first;
  if (name === pkg.name) return `imports its own package by name (${specifier}); import the file`;
  const { dependencies = {}, peerDependencies = {} } = pkg.manifest;
  if (!(name in dependencies) && !(name in peerDependencies)) {
    return `ships an import of ${specifier}, which is not among its dependencies`;
  }
  return undefined;
}

/** Specifiers of all static and literal dynamic imports and re-exports, type-only ones included. */
function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const { module } = parseSync(file, source);
  const specifiers = module.staticImports.map((i) => i.moduleRequest.value);
  for (const group of module.staticExports) {
    for (const entry of group.entries) if (entry.moduleRequest) specifiers.push(entry.moduleRequest.value);
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const literal = /^(['"`])([^'"`$]+)\1$/.exec(source.slice(moduleRequest.start, moduleRequest.end));
    if (literal?.[2] !== undefined) specifiers.push(literal[2]);
  }
  return [...new Set(specifiers)];
}

if (import.meta.main) {
  const root = path.resolve(process.argv[2] ?? workspaceRoot);
  const findings = checkLayering(root);
  for (const f of findings) console.error(`${f.file}: ${f.rule}: ${f.message}`);
  console.log(findings.length === 0 ? 'layering: in order' : `layering: ${findings.length} finding(s)`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}
