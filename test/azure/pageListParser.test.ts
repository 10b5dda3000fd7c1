import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageListParser, PageListSyntaxError } from '../../lib/azure/pageListParser.ts';
import { samples } from './pageListSamples.ts';

interface Entry {
  start: number;
  end: number;
  clear: boolean;
}

function parse(body: Buffer, cuts: readonly number[] = []): { entries: Entry[]; marker: string } {
  const entries: Entry[] = [];
  const parser = new PageListParser((start, end, clear) => entries.push({ start, end, clear }));
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    parser.write(body.subarray(at, cut));
    at = cut;
  }
  parser.write(body.subarray(at));
  return { entries, marker: parser.end() };
}

const entriesArbitrary = fc
  .array(fc.record({ gap: fc.nat(100), pages: fc.integer({ min: 1, max: 50 }), clear: fc.boolean() }), {
    maxLength: 60,
  })
  .map((steps) => {
    let at = 0;
    return steps.map(({ gap, pages, clear }) => {
      const start = at + gap * 512;
      at = start + pages * 512;
      return { start, end: at - 1, clear };
    });
  });

const render = (entries: Entry[], options: { bom: boolean; space: string; marker: string }) =>
  Buffer.from(
    `${options.bom ? '\uFEFF' : ''}<?xml version="1.0" encoding="utf-8"?>${options.space}<PageList>${entries
      .map(({ start, end, clear }) => {
        const tag = clear ? 'ClearRange' : 'PageRange';
        return `<${tag}><Start>${start}</Start>${options.space}<End>${end}</End></${tag}>`;
      })
      .join(options.space)}${options.marker}</PageList>`,
  );

describe('the page list parser', () => {
  it('reads the recorded answer: byte order mark, interleaved kinds, inclusive ends', () => {
    expect(parse(samples.interleaved)).toEqual({
      entries: [
        { start: 558452736, end: 558456831, clear: false },
        { start: 1199992832, end: 1199996927, clear: true },
        { start: 1199996928, end: 1200001023, clear: false },
      ],
      marker: '',
    });
  });

  it('reads an empty list in all its forms', () => {
    for (const body of [
      '<PageList/>',
      '<PageList />',
      '<PageList></PageList>',
      '<PageList><NextMarker/></PageList>',
    ]) {
      expect(parse(Buffer.from(body))).toEqual({ entries: [], marker: '' });
    }
  });

  it('gives the marker to go on from, unescaped', () => {
    const body = '<PageList><NextMarker>a&amp;b==</NextMarker></PageList>';
    expect(parse(Buffer.from(body)).marker).toBe('a&b==');
  });

  it('gives the same entries in whatever pieces the body comes', () => {
    fc.assert(
      fc.property(
        entriesArbitrary,
        fc.array(fc.nat(20_000), { maxLength: 40 }),
        fc.boolean(),
        fc.constantFrom('', '\n', '\r\n  '),
        (entries, cuts, bom, space) => {
          const body = render(entries, { bom, space, marker: '' });
          const within = cuts.map((cut) => cut % (body.length + 1));
          expect(parse(body, within)).toEqual({ entries, marker: '' });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('reads byte by byte', () => {
    const body = samples.interleaved;
    const cuts = Array.from({ length: body.length }, (_, at) => at);
    expect(parse(body, cuts)).toEqual(parse(body));
  });

  it('refuses every body that breaks off', () => {
    for (let length = 0; length < samples.interleaved.length; length++) {
      expect(() => parse(samples.interleaved.subarray(0, length))).toThrow(PageListSyntaxError);
    }
  });

  it('refuses what it does not know, instead of skipping a range', () => {
    const bodies = [
      '<PageList><NewRange><Start>0</Start><End>511</End></NewRange></PageList>',
      '<PageList><PageRange><End>511</End><Start>0</Start></PageRange></PageList>',
      '<PageList><PageRange><Start>-1</Start><End>511</End></PageRange></PageList>',
      '<PageList><PageRange><Start>0</Start><End>511</End></ClearRange></PageList>',
      '<PageList></PageList><PageList></PageList>',
      '<Error><Code>ServerBusy</Code></Error>',
    ];
    for (const body of bodies) expect(() => parse(Buffer.from(body))).toThrow(PageListSyntaxError);
  });

  it('holds only a token of a body without end', () => {
    const parser = new PageListParser(() => {});
    parser.write(Buffer.from('<PageList>'));
    expect(() => {
      for (let i = 0; i < 1000; i++) parser.write(Buffer.alloc(1024, 'x'));
    }).toThrow(PageListSyntaxError);
  });

  it('takes 200,000 ranges without keeping the text', () => {
    const ranges = Array.from(
      { length: 200_000 },
      (_, i) => `<PageRange><Start>${i * 8192}</Start><End>${i * 8192 + 4095}</End></PageRange>`,
    );
    const body = Buffer.from(`<PageList>${ranges.join('')}</PageList>`);
    let count = 0;
    const parser = new PageListParser((start, end) => {
      count += end - start === 4095 ? 1 : 0;
    });
    for (let at = 0; at < body.length; at += 16_384) parser.write(body.subarray(at, at + 16_384));
    expect(parser.end()).toBe('');
    expect(count).toBe(200_000);
  });
});
