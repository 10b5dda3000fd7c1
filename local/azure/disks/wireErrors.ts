/** The Blob service's errors: code, status and message as it words them. */

export const BOM = '\uFEFF';
export const XML_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>';

const KNOWN = {
  AuthenticationFailed: [
    403,
    'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.',
  ],
  InvalidAuthenticationInfo: [
    401,
    'Server failed to authenticate the request. Please refer to the information in the www-authenticate header.',
  ],
  AuthorizationPermissionMismatch: [
    403,
    'This request is not authorized to perform this operation using this permission.',
  ],
  BlobNotFound: [404, 'The specified blob does not exist.'],
  UnsupportedHttpVerb: [405, "The resource doesn't support specified Http Verb."],
  BlobGenerationMismatch: [409, 'The previous snapshot and the blob are not of the same generation.'],
  CopySourceCannotBeIncrementalCopyBlob: [
    409,
    'Source blob of a copy operation cannot be a snapshot that was made by incremental copy.',
  ],
  FeatureVersionMismatch: [
    409,
    'The operation for the type of a resource or a header requires a newer service version.',
  ],
  PreviousSnapshotNotFound: [409, 'The previous snapshot is not found.'],
  PreviousSnapshotOperationNotSupported: [
    409,
    'Differential Get Page Ranges is not supported on the previous snapshot.',
  ],
  PreviousSnapshotCannotBeNewer: [
    400,
    'The prevsnapshot query parameter value cannot be newer than snapshot query parameter value.',
  ],
  ConditionNotMet: [412, 'The condition specified using HTTP conditional header(s) is not met.'],
  SequenceNumberConditionNotMet: [412, 'The sequence number condition specified was not met.'],
  MissingContentLengthHeader: [411, 'The Content-Length header was not specified.'],
  RequestBodyTooLarge: [413, 'The request body is too large and exceeds the maximum permissible limit.'],
  InvalidRange: [416, 'The range specified is invalid for the current size of the resource.'],
  InvalidPageRange: [416, 'The page range specified is invalid.'],
  InvalidHeaderValue: [400, 'The value for one of the HTTP headers is not in the correct format.'],
  MissingRequiredHeader: [400, "An HTTP header that's mandatory for this request is not specified."],
  UnsupportedHeader: [400, 'One of the HTTP headers specified in the request is not supported.'],
  InvalidQueryParameterValue: [
    400,
    'Value for one of the query parameters specified in the request URI is invalid.',
  ],
  OutOfRangeQueryParameterValue: [
    400,
    'One of the query parameters specified in the request URI is outside the permissible range.',
  ],
  OutOfRangeInput: [400, 'One of the request inputs is out of range.'],
  InvalidMd5: [
    400,
    'The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64-encoded.',
  ],
  Md5Mismatch: [
    400,
    'The MD5 value specified in the request did not match with the MD5 value calculated by the server.',
  ],
  Crc64Mismatch: [
    400,
    'The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.',
  ],
  NoAuthenticationInformation: [
    401,
    'Server failed to authenticate the request. Please refer to the information in the www-authenticate header.',
  ],
  AuthorizationFailure: [403, 'This request is not authorized to perform this operation.'],
  ContainerNotFound: [404, 'The specified container does not exist.'],
  ContainerAlreadyExists: [409, 'The specified container already exists.'],
  BlobAlreadyExists: [409, 'The specified blob already exists.'],
  InvalidBlobType: [409, 'The blob type is invalid for this operation.'],
  BlobOverwritten: [409, 'The blob has been recreated since the previous snapshot was taken.'],
  SnapshotsPresent: [409, 'This operation is not permitted because the blob has snapshots.'],
  SnapshotOperationRateExceeded: [
    409,
    'The rate of snapshot operations against this blob has been exceeded.',
  ],
  SnapshotCountExceeded: [409, 'The number of snapshots against this blob has been exceeded.'],
  LeaseIdMissing: [
    412,
    'There is currently a lease on the blob and no lease ID was specified in the request.',
  ],
  InvalidMetadata: [400, 'The metadata specified is invalid. It has characters that are not permitted.'],
  MetadataTooLarge: [400, 'The size of the specified metadata exceeds the maximum size permitted.'],
  UnsupportedHeaderForNonManagedDisksAccount: [
    400,
    'One of the HTTP headers specified in the request is supported for managed disks accounts only.',
  ],
  InternalError: [500, 'Server encountered an internal error. Please try again after some time.'],
} as const satisfies Record<string, readonly [number, string]>;

export type WireErrorCode = keyof typeof KNOWN;

export interface WireErrorDetails {
  /** Elements after Message, as name and text. */
  elements?: Record<string, string>;
  headers?: Record<string, string>;
}

/** An answer of the Blob service that is an error. */
export class WireError extends Error {
  override name = 'WireError';
  readonly status: number;
  readonly code: string;
  readonly elements: Record<string, string>;
  readonly headers: Record<string, string>;

  constructor(code: string, status: number, message: string, details: WireErrorDetails = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.elements = details.elements ?? {};
    this.headers = details.headers ?? {};
  }
}

export function wireError(code: WireErrorCode, details?: WireErrorDetails): WireError {
  const [status, message] = KNOWN[code];
  return new WireError(code, status, message, details);
}

/** InvalidHeaderValue and its kin, naming the header. */
export function headerError(
  code: 'InvalidHeaderValue' | 'MissingRequiredHeader' | 'UnsupportedHeader' | 'FeatureVersionMismatch',
  name: string,
  value?: string,
): WireError {
  return wireError(code, {
    elements: { HeaderName: name, ...(value !== undefined && { HeaderValue: value }) },
  });
}

export function queryError(
  code: 'InvalidQueryParameterValue' | 'OutOfRangeQueryParameterValue',
  name: string,
  reason?: string,
): WireError {
  return wireError(code, {
    elements: { QueryParameterName: name, ...(reason !== undefined && { Reason: reason }) },
  });
}

/** The body of an error answer. */
export function errorBody(error: WireError, requestId: string, now: Date): string {
  const message = `${error.message}\nRequestId:${requestId}\nTime:${now.toISOString().slice(0, -1)}0000Z`;
  const elements = Object.entries({ Code: error.code, Message: message, ...error.elements });
  const xml = elements.map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`).join('');
  return `${BOM}${XML_DECLARATION}<Error>${xml}</Error>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
