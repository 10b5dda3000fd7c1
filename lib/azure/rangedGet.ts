/**
 * HTTP/1.1 GET of bytes whose length is known beforehand, over kept connections that read into one buffer each. Any general client
 * costs two to ten times the CPU a GiB (docs/performance.md): it makes a new buffer for each read of a socket, and streams around it.
 * Here the socket reads the body straight to where it is wanted. Whatever is not a plain answer with a Content-Length ends its
 * connection.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const READ_BYTES = 256 * 1024;
const LARGEST_HEAD = 64 * 1024;
const IDLE_MS = 60_000;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);

export interface GetHead {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface GetRequest {
  readonly origin: string;
  /** With query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest silence of the service. */
  readonly silenceMs: number;
  /** Says where the body goes: what is longer than this memory is dropped. Throws to refuse the answer. */
  onHead(head: GetHead, length: number): Buffer;
  /** So many bytes of the body are there so far. */
  onBytes(got: number): void;
  /** Called once; without an error when the answer was complete. Afterwards nothing writes to the memory any more. */
  onEnd(error: Error | null): void;
}

class Connection {
  #request: GetRequest | null = null;
  #head: Buffer | null = null;
  /** Of the body; null while the head is read. */
  #left: number | null = null;
  #body: Buffer = NOTHING;
  /** Bytes of the body so far. */
  #got = 0;
  #closeAfter = false;
  readonly #socket: Socket;
  readonly #idle: (connection: Connection) => void;
  readonly #gone: (connection: Connection) => void;

  constructor(origin: URL, idle: (connection: Connection) => void, gone: (connection: Connection) => void) {
    this.#idle = idle;
    this.#gone = gone;
    const secure = origin.protocol === 'https:';
    // For heads, and for what comes with them.
    const shared = Buffer.allocUnsafeSlow(READ_BYTES);
    const options = {
      host: origin.hostname.replace(/^\[|\]$/g, ''),
      port: Number(origin.port || (secure ? 443 : 80)),
      noDelay: true,
      onread: {
        buffer: () => this.#room() ?? shared,
        callback: (bytes: number, read: Uint8Array) => {
          this.#read(Buffer.from(read.buffer, read.byteOffset, bytes));
          return true;
        },
      },
    };
    this.#socket = secure
      ? connectTls({ ...options, servername: serverName(options.host) })
      : connectPlain(options);
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('end', () => this.#fail(new Error('the connection was closed')));
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed')));
    this.#socket.on('timeout', () =>
      this.end(new Error(this.#request ? 'the service is silent' : 'the connection was not used')),
    );
  }

  /** Where the next bytes may be read to without being copied; null: they may be more than there is room for. */
  #room(): Buffer | null {
    if (this.#left === null || this.#left === 0 || this.#body.length - this.#got < this.#left) return null;
    return this.#body.subarray(this.#got, this.#got + this.#left);
  }

  send(request: GetRequest): void {
    this.#request = request;
    this.#head = null;
    this.#left = null;
    this.#body = NOTHING;
    this.#got = 0;
    this.#socket.setTimeout(request.silenceMs);
    const { host } = new URL(request.origin);
    let text = `GET ${request.path} HTTP/1.1\r\nhost: ${host}\r\n`;
    for (const [name, value] of Object.entries(request.headers)) text += `${name}: ${value}\r\n`;
    this.#socket.write(`${text}\r\n`, 'latin1');
  }

  /** Ends the connection; the request under way, if any, is told `error`. */
  end(error: Error): void {
    this.#fail(error);
  }

  ref(on: boolean): void {
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  #read(piece: Buffer): void {
    const request = this.#request;
    if (!request) return this.#fail(new Error('bytes came that nobody asked for'));
    try {
      const body = this.#left === null ? this.#readHead(request, piece) : piece;
      if (body === null || this.#left === null) return;
      if (body.length > this.#left) throw new Error('the answer is longer than it says');
      this.#left -= body.length;
      if (body.length > 0) this.#keep(request, body);
      if (this.#left === 0 && this.#request === request) this.#done(request);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #keep(request: GetRequest, piece: Buffer): void {
    const inPlace =
      piece.buffer === this.#body.buffer && piece.byteOffset === this.#body.byteOffset + this.#got;
    if (!inPlace) piece.copy(this.#body, this.#got);
    this.#got += piece.length;
    request.onBytes(this.#got);
  }

  /** What follows the head in the bytes so far; null while there is no whole head. */
  #readHead(request: GetRequest, piece: Buffer): Buffer | null {
    const bytes = this.#head ? Buffer.concat([this.#head, piece]) : piece;
    const end = bytes.indexOf(END_OF_HEAD);
    if (end < 0) {
      if (bytes.length > LARGEST_HEAD) throw new Error('the head of the answer has no end');
      this.#head = Buffer.from(bytes);
      return null;
    }
    const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const [, version, status] = /^HTTP\/1\.([01]) (\d{3})/.exec(first) ?? [];
    if (status === undefined) throw new Error('the answer is not HTTP');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const rest = bytes.subarray(end + END_OF_HEAD.length);
    if (status.startsWith('1')) {
      this.#head = null;
      return this.#readHead(request, rest);
    }
    this.#closeAfter = version === '0' || /close/i.test(headers.connection ?? '');
    const length = headers['content-length'];
    if (length === undefined || !/^\d+$/.test(length) || headers['transfer-encoding'] !== undefined) {
      if (status.startsWith('2')) throw new Error('the answer does not say how long it is');
      // A refusal in pieces: its head says enough.
      this.#left = 0;
      this.#closeAfter = true;
      request.onHead({ status: Number(status), headers }, 0);
      return NOTHING;
    }
    this.#left = Number(length);
    this.#body = request.onHead({ status: Number(status), headers }, this.#left);
    return rest;
  }

  #done(request: GetRequest): void {
    this.#request = null;
    if (this.#closeAfter) this.#fail(new Error('the service ends the connection'));
    else {
      this.#socket.setTimeout(IDLE_MS);
      this.#idle(this);
    }
    request.onEnd(null);
  }

  #fail(error: Error): void {
    const request = this.#request;
    this.#request = null;
    this.#left = null;
    this.#socket.destroy();
    this.#gone(this);
    request?.onEnd(error);
  }
}

/** An address has no name to ask for. */
const serverName = (host: string): string => (/^[\d.]+$|:/.test(host) ? '' : host);

/** The kept connections to one origin. How many there are at once is the caller's to bound. */
class Connections {
  readonly #origin: URL;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];

  constructor(origin: string) {
    this.#origin = new URL(origin);
  }

  /** Returns what ends the request early. */
  get(request: GetRequest): (error: Error) => void {
    let ended = false;
    const connection = this.#idle.pop() ?? this.#open();
    connection.ref(true);
    connection.send({
      ...request,
      onEnd: (error) => {
        ended = true;
        request.onEnd(error);
      },
    });
    return (error) => {
      if (!ended) connection.end(error);
    };
  }

  #open(): Connection {
    const connection = new Connection(
      this.#origin,
      (free) => this.#free(free),
      (gone) => {
        this.#all.delete(gone);
        const at = this.#idle.indexOf(gone);
        if (at >= 0) this.#idle.splice(at, 1);
      },
    );
    this.#all.add(connection);
    return connection;
  }

  #free(connection: Connection): void {
    // A kept connection alone does not keep the process.
    connection.ref(false);
    this.#idle.push(connection);
  }

  close(): void {
    for (const connection of [...this.#all]) connection.end(new Error('the program ends'));
  }
}

const origins = new Map<string, Connections>();

/** Sends the request on a kept connection. The answer is told to the request; what is returned ends it early. */
export function rangedGet(request: GetRequest): (error: Error) => void {
  let connections = origins.get(request.origin);
  if (!connections) {
    connections = new Connections(request.origin);
    origins.set(request.origin, connections);
  }
  return connections.get(request);
}

/** Closes all kept connections of this thread. */
export function closeRangedGets(): void {
  for (const connections of origins.values()) connections.close();
  origins.clear();
}
