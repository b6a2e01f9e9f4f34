// The bench data of the repository, as the tests read it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib';

const folder = join(import.meta.dirname, '../../../bench/data/compression');

export function lines(name: string): Buffer[] {
  const text = gunzipSync(readFileSync(join(folder, `${name}.jsonl.gz`))).toString();
  return text
    .trim()
    .split('\n')
    .map((line) => Buffer.from(line));
}

export function versions(name: string): Uint8Array[] {
  const packed = readFileSync(join(folder, `versions-${name}.jsonl.zst`));
  const text = zstdDecompressSync(packed, { params: { [constants.ZSTD_d_windowLogMax]: 27 } }).toString();
  return text
    .trim()
    .split('\n')
    .map((line) => Uint8Array.from(Buffer.from((JSON.parse(line) as { text: string }).text)));
}

export function doubles(name: string): Float64Array {
  return new Float64Array(unpacked(`${name}-65536.f64.gz`));
}

export function word2vec(): Float32Array {
  return new Float32Array(unpacked('word2vec-1000x300.f32.gz'));
}

export function sift(): Float32Array {
  return Float32Array.from(new Uint8Array(unpacked('sift-5000x128.u8.gz')));
}

function unpacked(name: string): ArrayBuffer {
  return Uint8Array.from(gunzipSync(readFileSync(join(folder, name)))).buffer;
}
