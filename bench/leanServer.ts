/**
 * HTTP/1.1 for the bench's servers, as cheap as Node allows: they share the machine with what is measured. Bodies are read into one
 * buffer a connection. node:http costs 1 CPU second a GiB received; this a fifth of it.
 */
import { type AddressInfo, createServer, Socket } from 'node:net';

const READ_BYTES = 256 * 1024;
const END = Buffer.from('\r\n\r\n');

export interface LeanRequest {
  readonly method: string;
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface LeanAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Its length must be known: one buffer, or pieces that add up to `length`. */
  readonly body?: Buffer | { readonly length: number; readonly pieces: Iterable<Buffer> };
  /** HEAD: the length to tell of. */
  readonly length?: number;
}

/** Takes the body of a request, piece by piece in memory that is used again, and then answers. */
export interface Handler {
  onData(piece: Buffer): void;
  onEnd(): LeanAnswer | Promise<LeanAnswer>;
}

class ServerConnection {
  readonly #socket: Socket;
  readonly #handle: (request: LeanRequest) => Handler;
  #head: Buffer = Buffer.alloc(0);
  #handler: Handler | null = null;
  #left = 0;
  #isHead = false;

  static open(accepted: Socket, handle: (request: LeanRequest) => Handler): ServerConnection {
    return new ServerConnection(accepted, handle);
  }

  private constructor(accepted: Socket, handle: (request: LeanRequest) => Handler) {
    this.#handle = handle;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    // net.Server has no `onread`: the accepted handle gets a socket that has.
    const taken = accepted as unknown as { _handle: unknown };
    const options = {
      handle: taken._handle,
      onread: {
        buffer,
        callback: (bytes: number) => {
          this.#read(buffer.subarray(0, bytes));
          return true;
        },
      },
    };
    this.#socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
    taken._handle = null;
    this.#socket.setNoDelay(true);
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('end', () => this.#socket.destroy());
    this.#socket.resume();
  }

  #read(piece: Buffer): void {
    if (this.#handler && this.#left > 0) {
      const body = piece.subarray(0, this.#left);
      this.#left -= body.length;
      this.#handler.onData(body);
      if (this.#left === 0) void this.#answer(this.#handler);
      if (body.length < piece.length) this.#read(piece.subarray(body.length));
      return;
    }
    const bytes = this.#head.length > 0 ? Buffer.concat([this.#head, piece]) : piece;
    const end = bytes.indexOf(END);
    if (end < 0) {
      this.#head = Buffer.from(bytes);
      return;
    }
    this.#head = Buffer.alloc(0);
    const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const [method = '', path = '/'] = first.split(' ');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.#isHead = method === 'HEAD';
    this.#left = Number(headers['content-length'] ?? 0);
    this.#handler = this.#handle({ method, url: new URL(path, 'http://bench'), headers });
    const rest = bytes.subarray(end + END.length);
    if (this.#left === 0) void this.#answer(this.#handler);
    else if (rest.length > 0) this.#read(rest);
  }

  async #answer(handler: Handler): Promise<void> {
    this.#handler = null;
    try {
      const { status, headers = {}, body, length } = await handler.onEnd();
      const bytes = length ?? body?.length ?? 0;
      let text = `HTTP/1.1 ${status} -\r\ncontent-length: ${bytes}\r\n`;
      for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
      this.#socket.cork();
      this.#socket.write(`${text}\r\n`, 'latin1');
      if (body && !this.#isHead) {
        if (Buffer.isBuffer(body)) this.#socket.write(body);
        else {
          for (const piece of body.pieces) {
            await new Promise<void>((resolve) => {
              this.#socket.write(piece, () => resolve());
              this.#socket.uncork();
            });
          }
        }
      }
      this.#socket.uncork();
    } catch (error) {
      this.#socket.destroy(error as Error);
    }
  }
}

/** Serves on a free port of loopback, tells it to the parent process, and ends with it. */
export function serve(handle: (request: LeanRequest) => Handler): void {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    ServerConnection.open(socket, handle);
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('disconnect', () => process.exit(0));
}

/** A handler that takes no body. */
export const answering = (answer: () => LeanAnswer | Promise<LeanAnswer>): Handler => ({
  onData: () => {},
  onEnd: answer,
});
