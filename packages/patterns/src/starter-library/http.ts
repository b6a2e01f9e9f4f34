import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const httpPatterns: readonly StarterPattern[] = defineStarter('http', [
  {
    name: 'connection-refused',
    title: 'nobody listens there',
    type: 'network',
    severity: 'error',
    regex: /\bECONNREFUSED\b|\b[Cc]onnection refused\b/,
    matches: [
      'Error: connect ECONNREFUSED 127.0.0.1:5432',
      'curl: (7) Failed to connect to localhost port 80: Connection refused',
    ],
    misses: ['he refused the connection'],
  },
  {
    name: 'connection-reset',
    title: 'the other side hung up',
    type: 'network',
    severity: 'error',
    regex: /\bECONNRESET\b|\bEPIPE\b|\bsocket hang up\b|\bConnection reset by peer\b|\bRemoteDisconnected\b/,
    matches: [
      'Error: socket hang up\n    code: ECONNRESET',
      'Error: write EPIPE',
      'ConnectionResetError: [Errno 104] Connection reset by peer',
    ],
    misses: ['reset the connection', 'an EPIPELINE'],
  },
  {
    name: 'timed-out',
    title: 'no answer in time',
    type: 'timeout',
    severity: 'error',
    regex:
      /\b(?:ETIMEDOUT|ESOCKETTIMEDOUT|ERR_SOCKET_TIMEOUT|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT)\b|\b(?:Connection|Operation|Request|Read|request|connection) timed out\b|\bcontext deadline exceeded\b|\b(?:ReadTimeout|ConnectTimeout)(?:Error)?\b/,
    matches: [
      'Error: connect ETIMEDOUT 10.0.0.1:443',
      'curl: (28) Operation timed out after 5000 milliseconds',
      'Get "https://x": context deadline exceeded',
      'requests.exceptions.ReadTimeout: HTTPSConnectionPool(...)',
    ],
    misses: ['the timeout is 30 s', 'timed out of the game'],
  },
  {
    name: 'dns',
    title: 'a host name does not resolve',
    type: 'network',
    severity: 'error',
    regex:
      /\bgetaddrinfo (?:ENOTFOUND|EAI_AGAIN)\b|\bCould not resolve host\b|\bName or service not known\b|\bTemporary failure in name resolution\b|\bNXDOMAIN\b|\bno such host\b/,
    matches: [
      'Error: getaddrinfo ENOTFOUND api.example.com',
      'curl: (6) Could not resolve host: nope.example',
      'dial tcp: lookup x: no such host',
    ],
    misses: ['the host is resolved'],
  },
  {
    name: 'tls',
    title: 'a certificate or the handshake is not accepted',
    type: 'network',
    severity: 'error',
    regex:
      /\b(?:CERT_HAS_EXPIRED|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(?:_LOCALLY)?)|ERR_TLS_CERT_ALTNAME_INVALID|CERTIFICATE_VERIFY_FAILED)\b|\bSSL certificate problem\b|\bx509: certificate\b/,
    matches: [
      'Error: certificate has expired\n  code: CERT_HAS_EXPIRED',
      'ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed',
      'curl: (60) SSL certificate problem: unable to get local issuer certificate',
      'x509: certificate signed by unknown authority',
    ],
    misses: ['install a certificate'],
  },
  {
    name: 'bad-request',
    title: 'status 400, 405, 409, 413, 415 or 422',
    type: 'bad-request',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )(?:400|405|409|413|415|422)\b|\b400 Bad Request\b|\b422 Unprocessable (?:Entity|Content)\b|\binvalid_request_error\b/i,
    matches: [
      'HTTP/1.1 400 Bad Request',
      'Request failed with status code 422',
      '{"type":"error","error":{"type":"invalid_request_error"}}',
    ],
    misses: ['HTTP/1.1 200 OK', 'port 4000'],
  },
  {
    name: 'unauthorized',
    title: 'status 401: no or wrong credentials',
    type: 'auth',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )401\b|\b401 Unauthorized\b|\bauthentication_error\b|\binvalid x-api-key\b|\bIncorrect API key provided\b/i,
    matches: [
      'HTTP/2 401',
      '401 Unauthorized',
      'Request failed with status code 401',
      'Incorrect API key provided: sk-...',
    ],
    misses: ['HTTP/2 200', 'line 401 of the file'],
  },
  {
    name: 'forbidden',
    title: 'status 403: not allowed',
    type: 'permission',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )403\b|\b403 Forbidden\b|\bpermission_error\b|\bAccessDenied(?:Exception)?\b/i,
    matches: ['HTTP/1.1 403 Forbidden', '<Code>AccessDenied</Code>', 'statusCode: 403'],
    misses: ['403 items', 'forbidden fruit'],
  },
  {
    name: 'not-found',
    title: 'status 404 or 410: not there',
    type: 'not-found',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )(?:404|410)\b|\b404 Not Found\b/i,
    matches: [
      'HTTP/1.1 404 Not Found',
      'Request failed with status code 404',
      'urllib.error.HTTPError: HTTP Error 404: Not Found',
    ],
    misses: ['404 of 500 done', 'not found in the list'],
  },
  {
    name: 'rate-limited',
    title: 'status 429: too many requests, or a quota is used up',
    type: 'rate-limit',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )429\b|\b429 Too Many Requests\b|\brate_limit_(?:error|exceeded)\b|\b[Rr]ate limit (?:reached|exceeded)\b|\binsufficient_quota\b|\bThrottlingException\b|\bRESOURCE_EXHAUSTED\b/i,
    matches: [
      'HTTP/1.1 429 Too Many Requests',
      '{"type":"error","error":{"type":"rate_limit_error"}}',
      'Rate limit reached for gpt-4 in organization',
      'You exceeded your current quota: insufficient_quota',
    ],
    misses: ['x-ratelimit-remaining: 10', 'the rate limit is 10 per second'],
  },
  {
    name: 'overloaded',
    title: 'status 503 or 529: overloaded or down for now',
    type: 'server-error',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )(?:503|529)\b|\b503 Service (?:Temporarily )?Unavailable\b|\boverloaded_error\b/i,
    matches: [
      'HTTP/1.1 503 Service Unavailable',
      '{"error":{"type":"overloaded_error","message":"Overloaded"}}',
    ],
    misses: ['a service was unavailable on 5/03'],
  },
  {
    name: 'server-error',
    title: 'status 500, 502 or 504',
    type: 'server-error',
    severity: 'error',
    regex:
      /\b(?:HTTP\/[\d.]+ |HTTP(?: error)?:? |status(?: code|Code)?"?[:= ]+|status code |Error code: )(?:500|502|504)\b|\b500 Internal Server Error\b|\b502 Bad Gateway\b|\b504 Gateway Time-?out\b/i,
    matches: [
      'HTTP/1.1 500 Internal Server Error',
      '502 Bad Gateway',
      '<h1>504 Gateway Time-out</h1>',
      'Request failed with status code 500',
    ],
    misses: ['listening on port 5000', '500 rows'],
  },
  {
    name: 'fetch-failed',
    title: 'fetch got no response',
    type: 'network',
    severity: 'error',
    regex: /\bTypeError: (?:fetch failed|Failed to fetch|NetworkError when attempting)/,
    matches: ['TypeError: fetch failed\n    at node:internal/deps/undici', 'TypeError: Failed to fetch'],
    misses: ['git fetch failed to find anything'],
  },
  {
    name: 'cors',
    title: 'the browser blocked a cross-origin request',
    type: 'configuration',
    severity: 'error',
    regex: /\bhas been blocked by CORS policy\b|\bNo 'Access-Control-Allow-Origin' header is present\b/,
    matches: ["Access to fetch at 'https://a' from origin 'https://b' has been blocked by CORS policy"],
    misses: ['Access-Control-Allow-Origin: *'],
  },
  {
    name: 'context-length',
    title: 'a prompt is longer than the context of the model',
    type: 'bad-request',
    severity: 'error',
    regex:
      /\bcontext_length_exceeded\b|\bmaximum context length is \d+ tokens\b|\bprompt is too long: \d+ tokens\b/,
    matches: [
      "This model's maximum context length is 8192 tokens.",
      'prompt is too long: 210000 tokens > 200000 maximum',
    ],
    misses: ['a context of 8192 tokens'],
  },
]);
