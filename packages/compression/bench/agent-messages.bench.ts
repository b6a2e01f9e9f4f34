// Short chat messages, one at a time: what a store of agent sessions compresses.
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import type { BenchCase, Contender, Measurement } from '@perf/bench';
import { measureCase, ratioCase } from '@perf/bench';
import { Compressor } from '@perf/compression';
import { recordedMessages } from './recorded-messages.ts';
import type { RecordedMessages } from './recorded-messages.ts';

interface Packer {
  readonly name: string;
  readonly pack: (message: Uint8Array) => Uint8Array;
  readonly unpack: (packed: Uint8Array) => Uint8Array;
}

interface Packed {
  readonly packed: readonly Uint8Array[];
  readonly unpack: (packed: Uint8Array) => Uint8Array;
}

const QUALITY_4 = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

function peers(): Packer[] {
  return [
    { name: 'gzip', pack: (bytes) => gzipSync(bytes), unpack: (bytes) => gunzipSync(bytes) },
    {
      name: 'brotli-4',
      pack: (bytes) => brotliCompressSync(bytes, QUALITY_4),
      unpack: (bytes) => brotliDecompressSync(bytes),
    },
    {
      name: 'brotli-11',
      pack: (bytes) => brotliCompressSync(bytes),
      unpack: (bytes) => brotliDecompressSync(bytes),
    },
    { name: 'zstd', pack: (bytes) => zstdCompressSync(bytes), unpack: (bytes) => zstdDecompressSync(bytes) },
  ];
}

function ours(input: RecordedMessages, withDictionary: boolean): Packer {
  const compressor = new Compressor();
  const { dictionary } = input;
  return withDictionary
    ? {
        name: '@perf/compression with a dictionary',
        pack: (bytes) => compressor.compress(bytes, { dictionary }),
        unpack: (bytes) => compressor.decompress<Uint8Array>(bytes, { dictionary }),
      }
    : {
        name: '@perf/compression',
        pack: (bytes) => compressor.compress(bytes),
        unpack: (bytes) => compressor.decompress<Uint8Array>(bytes),
      };
}

function packAll(packer: Packer, input: RecordedMessages): Packed {
  return { packed: input.messages.map((message) => packer.pack(message)), unpack: packer.unpack };
}

function validatePacked({ packed, unpack }: Packed, { messages }: RecordedMessages): void {
  for (const [i, message] of messages.entries()) {
    if (Buffer.compare(unpack(packed[i] ?? new Uint8Array(0)), message) !== 0)
      throw new Error(`message ${i} differs`);
  }
}

function packContender(
  name: string,
  packer: (input: RecordedMessages) => Packer,
  isOurs = false,
): Contender<RecordedMessages, Packer, Packed> {
  return { name, ours: isOurs, prepare: packer, run: (state, input) => packAll(state, input) };
}

function unpackContender(
  name: string,
  packer: (input: RecordedMessages) => Packer,
  isOurs = false,
): Contender<RecordedMessages, Packed, readonly Uint8Array[]> {
  return {
    name,
    ours: isOurs,
    prepare: (input) => packAll(packer(input), input),
    run: ({ packed, unpack }) => packed.map((one) => unpack(one)),
  };
}

function validateUnpacked(unpacked: readonly Uint8Array[], { messages }: RecordedMessages): void {
  for (const [i, message] of messages.entries()) {
    if (Buffer.compare(unpacked[i] ?? new Uint8Array(0), message) !== 0)
      throw new Error(`message ${i} differs`);
  }
}

function peer(name: string): (input: RecordedMessages) => Packer {
  return () => {
    const found = peers().find((one) => one.name === name);
    if (found === undefined) throw new Error(`no peer ${name}`);
    return found;
  };
}

export const cases: BenchCase[] = [
  ratioCase({
    name: 'messages-compress',
    about: 'Compressing chat messages of 20 to 9000 bytes one by one, as bytes, goal balanced.',
    setup: recordedMessages,
    operations: (input) => input.messages.length,
    contenders: [
      packContender('@perf/compression', (input) => ours(input, false), true),
      packContender('gzip', peer('gzip')),
      packContender('brotli-4', peer('brotli-4')),
      packContender('zstd', peer('zstd')),
    ],
    validate: validatePacked,
  }),
  ratioCase({
    name: 'messages-decompress',
    about: 'Decompressing and verifying the same messages one by one; the peers do not all verify.',
    setup: recordedMessages,
    operations: (input) => input.messages.length,
    contenders: [
      unpackContender('@perf/compression', (input) => ours(input, false), true),
      unpackContender('gzip', peer('gzip')),
      unpackContender('brotli-4', peer('brotli-4')),
      unpackContender('zstd', peer('zstd')),
    ],
    validate: validateUnpacked,
  }),
  ratioCase({
    name: 'messages-compress-dictionary',
    about:
      'Compressing the messages against a 32 KiB dictionary trained on earlier sessions, and without one.',
    setup: recordedMessages,
    operations: (input) => input.messages.length,
    contenders: [
      packContender('@perf/compression with a dictionary', (input) => ours(input, true), true),
      packContender('zstd', peer('zstd')),
      packContender('brotli-11', peer('brotli-11')),
    ],
    validate: validatePacked,
  }),
  measureCase({
    name: 'messages-size',
    about: 'Raw size over stored size of the messages, each stored on its own.',
    forks: 1,
    measure(context): readonly Measurement[] {
      const input = recordedMessages(context);
      return [ours(input, true), ours(input, false), ...peers()].map((packer) => {
        const all = packAll(packer, input);
        validatePacked(all, input);
        const stored = all.packed.reduce((sum, one) => sum + one.length, 0);
        return { name: packer.name, value: input.rawBytes / stored, unit: 'x' };
      });
    },
  }),
];
