import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const gitPatterns: readonly StarterPattern[] = defineStarter('git', [
  {
    name: 'merge-conflict',
    title: 'a merge stopped at conflicts',
    type: 'version-control',
    severity: 'error',
    regex: /^CONFLICT \([^)\n]+\): |^Automatic merge failed; fix conflicts/m,
    matches: [
      'Auto-merging a.ts\nCONFLICT (content): Merge conflict in a.ts\nAutomatic merge failed; fix conflicts and then commit the result.',
    ],
    misses: ['no conflict (really)', 'Already up to date.'],
  },
  {
    name: 'conflict-markers',
    title: 'a file still has conflict markers',
    type: 'version-control',
    severity: 'error',
    regex: /^<{7} \S[^\n]*$/m,
    matches: ['<<<<<<< HEAD\na\n=======\nb\n>>>>>>> branch'],
    misses: ['a << b', '<<<<<<<', '  <<<<<<< in a text'],
  },
  {
    name: 'not-a-repository',
    title: 'not inside a repository',
    type: 'version-control',
    severity: 'error',
    regex: /^fatal: not a git repository/m,
    matches: ['fatal: not a git repository (or any of the parent directories): .git'],
    misses: ['this is not a git repository'],
  },
  {
    name: 'push-rejected',
    title: 'the remote has commits that are not here',
    type: 'version-control',
    severity: 'error',
    regex: /^ ! \[(?:remote )?rejected\]|^error: failed to push some refs to /m,
    matches: [
      " ! [rejected]        main -> main (non-fast-forward)\nerror: failed to push some refs to 'origin'",
      ' ! [remote rejected] main -> main (protected branch hook declined)',
    ],
    misses: ['[rejected] by the editor'],
  },
  {
    name: 'would-overwrite',
    title: 'local changes would be overwritten',
    type: 'version-control',
    severity: 'error',
    regex:
      /^error: (?:Your local changes to the following files|The following untracked working tree files) would be overwritten by/m,
    matches: ['error: Your local changes to the following files would be overwritten by merge:\n\ta.ts'],
    misses: ['your local changes were kept'],
  },
  {
    name: 'pathspec',
    title: 'no such branch or path',
    type: 'not-found',
    severity: 'error',
    regex:
      /^(?:error|fatal): pathspec '[^'\n]+' did not match any file|^fatal: (?:ambiguous argument|bad revision|couldn't find remote ref|invalid reference:)/m,
    matches: [
      "error: pathspec 'fature' did not match any file(s) known to git",
      "fatal: ambiguous argument 'HEAD~9': unknown revision or path not in the working tree.",
    ],
    misses: ['a pathspec matches files'],
  },
  {
    name: 'authentication',
    title: 'the remote does not let us in',
    type: 'auth',
    severity: 'error',
    regex:
      /^fatal: Authentication failed for |\bPermission denied \(publickey[^)\n]*\)|^fatal: could not read (?:Username|Password) for |^remote: Invalid username or/m,
    matches: [
      "fatal: Authentication failed for 'https://github.com/a/b.git/'",
      'git@github.com: Permission denied (publickey).',
      "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
    ],
    misses: ['authentication failed once'],
  },
  {
    name: 'remote-not-found',
    title: 'the remote repository is not there',
    type: 'not-found',
    severity: 'error',
    regex:
      /^(?:remote: |ERROR: )Repository not found\.|^fatal: (?:repository '[^'\n]+' not found|Could not read from remote repository\.|unable to access ')/m,
    matches: [
      "remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found",
      "fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com",
    ],
    misses: ['repository found'],
  },
  {
    name: 'index-lock',
    title: 'another git process holds the lock',
    type: 'concurrency',
    severity: 'error',
    regex: /^fatal: Unable to create '[^'\n]+\.lock': File exists\./m,
    matches: ["fatal: Unable to create '/a/.git/index.lock': File exists."],
    misses: ['rm .git/index.lock'],
  },
  {
    name: 'patch-does-not-apply',
    title: 'a patch does not apply',
    type: 'version-control',
    severity: 'error',
    regex:
      /^error: (?:patch failed: |corrupt patch at line |[^\n]{1,300}: patch does not apply$|could not apply )/m,
    matches: [
      'error: patch failed: a.ts:3\nerror: a.ts: patch does not apply',
      'error: could not apply 1a2b3c4... fix',
    ],
    misses: ['the patch applies'],
  },
]);
