// Small kernel files: present and readable, or not there at all.
import { readFileSync } from 'node:fs';

/** Codes with which the kernel says that a file, or what it would report, does not exist here. */
const ABSENT = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENODEV',
  'EINVAL',
  'EISDIR',
]);

/** The text, or `undefined` when this machine has no such file. Other errors are thrown. */
export function readKernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && ABSENT.has(String(error.code))) return undefined;
    throw error;
  }
}
