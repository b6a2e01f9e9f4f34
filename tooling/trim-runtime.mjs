// Runs after every install, on whatever Node the machine has (so plain JavaScript).
// The pinned runtime's npm package carries 67 MB of C++ headers that only native builds need; nothing here builds
// native code (better-sqlite3 ships prebuilds), so they go, and node_modules stays under 450 MB.
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
try {
  const require = createRequire(path.join(root, 'package.json'));
  const runtime = path.dirname(require.resolve('node/package.json'));
  const platformPackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  for (const holder of [path.join(runtime, 'node_modules'), path.dirname(runtime)]) {
    rmSync(path.join(holder, platformPackage, 'include'), { recursive: true, force: true });
  }
} catch (error) {
  // A missing runtime shows itself loudly in the next step; a failed trim only costs disk space.
  process.stderr.write(`trim-runtime: ${error instanceof Error ? error.message : String(error)}\n`);
}
