/**
 * Removes secrets from text that is about to be logged, thrown or sent. The last net, not the first: code that
 * holds a secret does not print it. It knows secrets by their surroundings, so a bare key without its name
 * (`AccountKey=`, `sig=`, `Bearer`) is only found when it has the shape of an Azure storage key.
 */
const REMOVED = 'REDACTED';

/** Values end at the first character that cannot be part of one, percent-encoded or not. */
const VALUE = String.raw`[^\s&#;,"'<>\\]+`;

const RULES: readonly (readonly [RegExp, string])[] = [
  // SAS signatures, also inside an encoded URL.
  [new RegExp(String.raw`((?:\b|%3f|%26)sig(?:=|%3d))${VALUE}`, 'gi'), `$1${REMOVED}`],
  // Functions keys and authorisation codes, in a query only: `code=` elsewhere is an error's.
  [new RegExp(String.raw`((?:[?&]|%3f|%26)code(?:=|%3d))${VALUE}`, 'gi'), `$1${REMOVED}`],
  // Headers, as text, JSON or an inspected object.
  [/((?:["']?)x-functions-key(?:["']?)\s*[:=]\s*["']?)[^\s"',;}&]+/gi, `$1${REMOVED}`],
  [
    /\b(Bearer|SharedAccessSignature|SharedKey|SharedKeyLite|Basic)(\s+|%20)[A-Za-z0-9\-._~+/:=%]{8,}/gi,
    `$1$2${REMOVED}`,
  ],
  // A token without its scheme: three base64url parts, the first a JSON object.
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*/g, REMOVED],
  // Connection strings and named fields.
  [
    /((?:["']?)\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|client_secret|clientSecret|access_token|refresh_token|client_assertion|password|passphrase|accessSAS)(?:["']?)\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s&;,}"']+)/gi,
    `$1${REMOVED}`,
  ],
  // user:password@ in a URL.
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"'<>]*:)[^\s/@"'<>]+(@)/gi, `$1${REMOVED}$2`],
  // A storage account key by its shape: 64 bytes in base64.
  [/(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==/g, REMOVED],
];

/** `text` without secrets; the same text when there is none. Applying it twice changes nothing more. */
export function redact(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of RULES) clean = clean.replace(pattern, replacement);
  return clean;
}
