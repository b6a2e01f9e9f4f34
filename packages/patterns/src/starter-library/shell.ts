import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const shellPatterns: readonly StarterPattern[] = defineStarter('shell', [
  {
    name: 'command-not-found',
    title: 'no such command',
    type: 'command',
    severity: 'error',
    regex:
      /(?:^|\n)[^\n]{0,200}: (?:command not found|not found)$|\bcommand not found: \S|\bis not recognized as (?:an internal or external command|the name of a cmdlet)/m,
    matches: [
      'bash: line 1: foo: command not found',
      '/bin/sh: 1: foo: not found',
      "'foo' is not recognized as an internal or external command",
      'zsh: command not found: foo',
    ],
    misses: ['the command was found', 'Error: key not found in map'],
  },
  {
    name: 'no-such-file',
    title: 'no such file or directory',
    type: 'filesystem',
    severity: 'error',
    regex:
      /\bNo such file or directory\b|\bENOENT\b(?=[:,])|\bThe system cannot find the (?:file|path) specified\b/,
    matches: [
      'cat: a.txt: No such file or directory',
      "Error: ENOENT: no such file or directory, open 'a.txt'",
      'The system cannot find the path specified.',
    ],
    misses: ['there is a file in the directory', 'if (e.code === "ENOENT")'],
  },
  {
    name: 'permission-denied',
    title: 'not allowed to',
    type: 'permission',
    severity: 'error',
    regex:
      /\bPermission denied\b(?! \(publickey)|\b(?:EACCES|EPERM)\b(?=[:,])|\bOperation not permitted\b|\bAccess is denied\b/,
    matches: [
      'bash: ./run.sh: Permission denied',
      "Error: EACCES: permission denied, mkdir '/x'",
      'chown: a: Operation not permitted',
    ],
    misses: ['ask for permission', 'git@github.com: Permission denied (publickey).'],
  },
  {
    name: 'disk-full',
    title: 'no space left',
    type: 'disk-full',
    severity: 'fatal',
    regex: /\bNo space left on device\b|\bENOSPC\b|\bDisk quota exceeded\b|\bSQLITE_FULL\b/,
    matches: ['write error: No space left on device', 'Error: ENOSPC: no space left on device, write'],
    misses: ['there is space left on the device'],
  },
  {
    name: 'killed',
    title: 'the kernel or a limit killed the process',
    type: 'memory',
    severity: 'fatal',
    regex:
      /^Killed$|\bOut of memory: Killed process \d+|\boom-kill(?:er)?\b|\bOOMKilled\b|\b(?:exit(?:ed with)? (?:code|status)|exit code:?) 137\b/m,
    matches: [
      'Killed\n',
      'Out of memory: Killed process 1234 (node)',
      '"OOMKilled": true',
      'exited with code 137',
    ],
    misses: ['Killed it', 'exit code 1'],
  },
  {
    name: 'segmentation-fault',
    title: 'the process crashed',
    type: 'crash',
    severity: 'fatal',
    regex:
      /\b[Ss]egmentation fault\b|\bSIGSEGV\b|\bSIGABRT\b|\bSIGBUS\b|\bBus error\b|\bAborted \(core dumped\)|\bexit(?:ed with)? (?:code|status) (?:134|139)\b/,
    matches: ['Segmentation fault (core dumped)', 'Aborted (core dumped)', 'Program received signal SIGSEGV'],
    misses: ['the segmentation of the market'],
  },
  {
    name: 'out-of-memory',
    title: 'an allocation failed',
    type: 'memory',
    severity: 'fatal',
    regex: /\bCannot allocate memory\b|\bENOMEM\b|\bstd::bad_alloc\b|\bvirtual memory exhausted\b/,
    matches: [
      'fork: Cannot allocate memory',
      "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
    misses: ['allocate memory for the array'],
  },
  {
    name: 'syntax-error',
    title: 'a shell line does not parse',
    type: 'syntax',
    severity: 'error',
    regex:
      /\bsyntax error near unexpected token\b|\bunexpected EOF while looking for matching\b|\bsyntax error: unexpected end of file\b|: Syntax error: /,
    matches: [
      "bash: -c: line 1: syntax error near unexpected token `)'",
      'bash: line 3: unexpected EOF while looking for matching `"\'',
      'sh: 1: Syntax error: Unterminated quoted string',
    ],
    misses: ['a syntax error in line 3'],
  },
  {
    name: 'exit-status',
    title: 'a command ended with an error status',
    type: 'command',
    severity: 'warning',
    regex:
      /\b(?:exited with|exit(?:ed)?) (?:code|status):? (?!0\b|13[479]\b)\d{1,3}\b|\breturned non-zero exit status [1-9]/i,
    matches: [
      'Process exited with code 1',
      "subprocess.CalledProcessError: Command 'x' returned non-zero exit status 2.",
      'exit status 3',
    ],
    misses: ['Process exited with code 0', 'exit codes 1 to 3'],
  },
  {
    name: 'command-timeout',
    title: 'a command was stopped because it took too long',
    type: 'timeout',
    severity: 'error',
    regex:
      /\b[Cc]ommand timed out (?:after|in)\b|\bexit(?:ed with)? (?:code|status) 124\b|\bTimeoutExpired: Command\b|\bTest timeout of \d+ ?ms exceeded\b|\bExceeded timeout of \d+ ?ms\b|\bTest timed out in \d+ms\b/,
    matches: [
      'Command timed out after 2m 0.0s',
      "subprocess.TimeoutExpired: Command 'x' timed out after 5 seconds",
      'Error: Test timed out in 5000ms.',
      'thrown: "Exceeded timeout of 5000 ms for a test.',
    ],
    misses: ['the command has a timeout'],
  },
  {
    name: 'make-failed',
    title: 'make stopped at a target',
    type: 'build',
    severity: 'error',
    regex: /^make(?:\[\d+\])?: \*\*\* /m,
    matches: ['make: *** [Makefile:3: all] Error 2', "make[1]: *** No rule to make target 'x'.  Stop."],
    misses: ['make: Nothing to be done for all'],
  },
  {
    name: 'compiler-error',
    title: 'a C or C++ compiler rejects the program',
    type: 'build',
    severity: 'error',
    regex: /^\S+\.(?:c|cc|cpp|cxx|h|hpp|m|mm):\d+:\d+: (?:fatal )?error: /m,
    matches: [
      'src/a.c:3:10: fatal error: foo.h: No such file or directory',
      "a.cpp:4:5: error: 'x' was not declared in this scope",
    ],
    misses: ['a.c:3:10: warning: unused variable'],
  },
  {
    name: 'docker-daemon',
    title: 'the container runtime is not there',
    type: 'command',
    severity: 'error',
    regex:
      /\bCannot connect to the Docker daemon\b|\bError response from daemon: |\bImagePullBackOff\b|\bCrashLoopBackOff\b/,
    matches: [
      'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.',
      'Error response from daemon: pull access denied',
    ],
    misses: ['start the docker daemon'],
  },
  {
    name: 'edit-not-applied',
    title: 'an edit did not find the text it should replace',
    type: 'not-found',
    severity: 'warning',
    regex:
      /\bString to replace not found in file\b|\bNo replacement was performed\b|\bold_str(?:ing)? `?[^\n]{0,200} did not appear verbatim\b|\bFile has not been read yet\b|\bFile has been (?:modified|unexpectedly modified) since read\b/,
    matches: [
      'String to replace not found in file.\nString: const a = 1',
      'No replacement was performed, old_str `x` did not appear verbatim in a.py.',
      'File has not been read yet. Read it first before writing to it.',
    ],
    misses: ['the string was replaced in the file'],
  },
]);
