/** One entry of a page list, as sent: both ends inclusive. */
export type PageEntry = (start: number, end: number, isClear: boolean) => void;

/** The answer is not a page list, or not all of one. */
export class PageListSyntaxError extends Error {
  override readonly name = 'PageListSyntaxError';
}

// Every form that may follow, each as a whole; `y` matches at the position only, so that nothing is ever skipped.
const TOKEN =
  /\s+|<\?xml[^>]*\?>|<(PageRange|ClearRange)>\s*<Start>(\d+)<\/Start>\s*<End>(\d+)<\/End>\s*<\/\1>|<NextMarker>([^<]*)<\/NextMarker>|<NextMarker\s*\/>|(<PageList(?:\s[^<>]*)?(?<!\/)>)|(<\/PageList>)|(<PageList(?:\s[^<>]*)?\/>)/y;

/** More than the longest token: what is not one by then never will be. */
const LONGEST_TOKEN = 8 * 1024;

/**
 * Reads a `comp=pagelist` body piece by piece, in whatever pieces it comes, and calls `entry` for each range in the order sent. Holds no
 * more than one piece and one token. Strict: an unknown element is an error, because a range that is not understood would be data lost.
 */
export class PageListParser {
  readonly #entry: PageEntry;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: false });
  #rest = '';
  #state: 'before' | 'inside' | 'after' = 'before';
  #marker = '';

  constructor(entry: PageEntry) {
    this.#entry = entry;
  }

  write(chunk: Uint8Array): void {
    this.#consume(this.#decoder.decode(chunk, { stream: true }));
  }

  /** To be called when the body has ended. The marker to go on from; empty when the list is complete. */
  end(): string {
    this.#consume(this.#decoder.decode());
    if (this.#rest !== '' || this.#state !== 'after') {
      throw new PageListSyntaxError('The page list broke off before its end.');
    }
    return this.#marker;
  }

  #consume(text: string): void {
    const input = this.#rest + text;
    let at = 0;
    while (at < input.length) {
      TOKEN.lastIndex = at;
      const match = TOKEN.exec(input);
      if (match === null) break;
      at = TOKEN.lastIndex;
      this.#token(match);
    }
    this.#rest = input.slice(at);
    if (this.#rest.length > LONGEST_TOKEN) {
      throw new PageListSyntaxError(`The page list holds what is not known: "${this.#rest.slice(0, 40)}".`);
    }
  }

  #token(match: RegExpExecArray): void {
    const [, kind, start, end, marker, opened, closed, empty] = match;
    if (kind !== undefined) {
      this.#expect('inside');
      this.#entry(Number(start), Number(end), kind === 'ClearRange');
    } else if (marker !== undefined) {
      this.#expect('inside');
      this.#marker = unescapeXml(marker);
    } else if (opened !== undefined) {
      this.#expect('before');
      this.#state = 'inside';
    } else if (closed !== undefined) {
      this.#expect('inside');
      this.#state = 'after';
    } else if (empty !== undefined) {
      this.#expect('before');
      this.#state = 'after';
    }
  }

  #expect(state: 'before' | 'inside' | 'after'): void {
    if (this.#state !== state) throw new PageListSyntaxError('The page list is not in order.');
  }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const unescapeXml = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => ENTITIES[name] ?? '');
