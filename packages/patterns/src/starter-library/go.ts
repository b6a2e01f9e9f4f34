import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const goPatterns: readonly StarterPattern[] = defineStarter('go', [
  {
    name: 'panic',
    title: 'the program panicked',
    type: 'crash',
    severity: 'fatal',
    regex: /^panic: (?:runtime error: )?\S[^\n]*$/m,
    matches: ['panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:'],
    misses: ['// may panic: see below', 'do not panic'],
  },
  {
    name: 'nil-dereference',
    title: 'a nil pointer was dereferenced',
    type: 'type',
    severity: 'fatal',
    regex: /\binvalid memory address or nil pointer dereference\b/,
    matches: [
      'panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: ...]',
    ],
    misses: ['nil pointers are checked'],
  },
  {
    name: 'deadlock',
    title: 'every goroutine waits',
    type: 'concurrency',
    severity: 'fatal',
    regex: /^fatal error: all goroutines are asleep - deadlock!/m,
    matches: ['fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:'],
    misses: ['goroutines are asleep'],
  },
  {
    name: 'data-race',
    title: 'the race detector found a race',
    type: 'concurrency',
    severity: 'error',
    regex:
      /^WARNING: DATA RACE$|^fatal error: concurrent map (?:writes|read and map write|iteration and map write)/m,
    matches: [
      '==================\nWARNING: DATA RACE\nWrite at 0x00c0',
      'fatal error: concurrent map writes',
    ],
    misses: ['no data race found'],
  },
  {
    name: 'undefined',
    title: 'the compiler does not know the name',
    type: 'reference',
    severity: 'error',
    regex: /\.go:\d+:\d+: undefined: \S+/,
    matches: ['./main.go:5:2: undefined: fmt'],
    misses: ['main.go:5: undefined behaviour'],
  },
  {
    name: 'compile-error',
    title: 'the compiler rejects the program',
    type: 'build',
    severity: 'error',
    regex:
      /\.go:\d+:\d+: (?:syntax error: |cannot use |declared and not used|"[^"\n]+" imported and not used|missing return|assignment mismatch|not enough arguments|too many arguments|invalid operation)/,
    matches: [
      './main.go:5:2: declared and not used: x',
      './a.go:9:3: syntax error: unexpected newline',
      './main.go:4:2: "os" imported and not used',
    ],
    misses: ['main.go: declared and used'],
  },
  {
    name: 'missing-module',
    title: 'a package or module is missing',
    type: 'missing-dependency',
    severity: 'error',
    regex:
      /\bno required module provides package \S+|\bcannot find package "[^"\n]+"|\bmissing go\.sum entry for module\b|\bpackage \S+ is not in (?:std|GOROOT)\b/,
    matches: [
      'main.go:4:2: no required module provides package github.com/a/b; to add it:',
      'missing go.sum entry for module providing package x',
      'package foo/bar is not in std (/usr/local/go/src/foo/bar)',
    ],
    misses: ['cannot find the package'],
  },
  {
    name: 'test-failures',
    title: 'a Go test run has failures',
    type: 'test-failure',
    severity: 'error',
    regex: /^\s*--- FAIL: |^FAIL(?:\s+\S+\s+(?:[\d.]+s|\[build failed\])|$)/m,
    matches: ['--- FAIL: TestX (0.00s)', 'FAIL\texample.com/a\t0.004s', 'FAIL\texample.com/a [build failed]'],
    misses: ['--- PASS: TestX (0.00s)', 'ok  \texample.com/a\t0.004s', 'FAIL SAFE mode on'],
  },
]);
