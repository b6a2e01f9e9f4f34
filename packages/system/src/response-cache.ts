// Answers to identical requests, once: the key is a hash of the request's canonical JSON, so the order of its members
// does not matter; the cache makes concurrent identical requests share one call.
import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';

/** `response:` and the SHA-256 of the canonical request, in base64url. @throws {TypeError} when it is not JSON. */
export function responseKey(request: unknown): string {
  return `response:${createHash('sha256').update(canonicalJson(request, 'request')).digest('base64url')}`;
}
