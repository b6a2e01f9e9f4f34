import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const rustPatterns: readonly StarterPattern[] = defineStarter('rust', [
  {
    name: 'compile-error',
    title: 'rustc rejects the program',
    type: 'build',
    severity: 'error',
    regex: /^\s*error\[E\d{4}\]: /m,
    matches: ['error[E0382]: borrow of moved value: `x`\n --> src/main.rs:4:20'],
    misses: ['see error E0382'],
  },
  {
    name: 'could-not-compile',
    title: 'cargo stopped at a crate',
    type: 'build',
    severity: 'error',
    regex: /^error: could not compile `[^`\n]+`/m,
    matches: ['error: could not compile `app` (bin "app") due to 2 previous errors'],
    misses: ['we could not compile the list'],
  },
  {
    name: 'panic',
    title: 'a thread panicked',
    type: 'crash',
    severity: 'fatal',
    regex: /^\s*thread '[^'\n]*'(?: \(\d+\))? panicked at /m,
    matches: [
      "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds",
      "thread 'main' (4711) panicked at src/a.rs:1:1:",
    ],
    misses: ['the thread panicked'],
  },
  {
    name: 'cargo-resolve',
    title: 'cargo finds no version that fits',
    type: 'dependency-conflict',
    severity: 'error',
    regex: /^error: (?:failed to select a version for|no matching package named|failed to resolve patches)/m,
    matches: [
      'error: failed to select a version for `serde`.',
      'error: no matching package named `sered` found',
    ],
    misses: ['failed to select a version'],
  },
  {
    name: 'linker',
    title: 'the linker failed',
    type: 'build',
    severity: 'error',
    regex:
      /\berror: linking with `[^`\n]+` failed|\berror: linker `[^`\n]+` not found|\bundefined reference to `|\bld(?:\.\w+)?: (?:cannot find -l|symbol\(s\) not found)/,
    matches: [
      'error: linking with `cc` failed: exit status: 1',
      "main.o: undefined reference to `foo'",
      '/usr/bin/ld: cannot find -lssl: No such file or directory',
    ],
    misses: ['an undefined reference in the book'],
  },
  {
    name: 'test-failures',
    title: 'a Rust test run has failures',
    type: 'test-failure',
    severity: 'error',
    regex: /^test result: FAILED\./m,
    matches: ['test result: FAILED. 3 passed; 1 failed; 0 ignored'],
    misses: ['test result: ok. 4 passed; 0 failed'],
  },
]);
