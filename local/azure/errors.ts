/** The error bodies of the resource manager: `{"error":{"code","message","target"?,"details"?}}`, and the codes used in many places. */
export interface ArmErrorDetail {
  code: string;
  target?: string;
  message: string;
}

export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;
  readonly target: string | undefined;
  readonly details: ArmErrorDetail[] | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { headers?: Record<string, string>; target?: string; details?: ArmErrorDetail[] } = {},
  ) {
    super(message);
    this.name = 'ArmError';
    this.status = status;
    this.code = code;
    this.headers = more.headers ?? {};
    this.target = more.target;
    this.details = more.details;
  }

  body(): object {
    return {
      error: {
        code: this.code,
        message: this.message,
        ...(this.target === undefined ? {} : { target: this.target }),
        ...(this.details === undefined ? {} : { details: this.details }),
      },
    };
  }
}

export const invalidParameter = (target: string, message: string) =>
  new ArmError(400, 'InvalidParameter', message, { target });

/** A conflict with the state of a resource (the same code serves quota and throttling: clients tell by status and text). */
export const notAllowed = (message: string) => new ArmError(409, 'OperationNotAllowed', message);

/** `typeAndName` is e.g. `Microsoft.Compute/disks/data-1`. */
export const resourceNotFound = (typeAndName: string, group: string) =>
  new ArmError(
    404,
    'ResourceNotFound',
    `The Resource '${typeAndName}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    { headers: { 'x-ms-failure-cause': 'gateway' } },
  );

export const groupNotFound = (group: string) =>
  new ArmError(404, 'ResourceGroupNotFound', `Resource group '${group}' could not be found.`, {
    headers: { 'x-ms-failure-cause': 'gateway' },
  });
