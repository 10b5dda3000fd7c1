/** Spans of pages as ranges of bytes. */
import { PAGE_BYTES, pagesOf } from './content.ts';
import type { PageSpan } from './sweep.ts';
import type { ByteRange, ChangedRange, RangePage } from './types.ts';

/** At most `limit` of the spans that touch the window, as bytes cut to it and to the disk's size. */
export function rangesIn(
  sizeBytes: number,
  window: ByteRange,
  limit: number,
  spans: (from: number, to: number) => Iterable<PageSpan>,
): RangePage<ChangedRange> {
  const end = Math.min(window.offset + window.length, sizeBytes);
  const ranges: ChangedRange[] = [];
  for (const span of spans(Math.floor(window.offset / PAGE_BYTES), pagesOf(end))) {
    const offset = Math.max(span.start * PAGE_BYTES, window.offset);
    if (ranges.length === limit) return { ranges, next: offset };
    ranges.push({ offset, length: Math.min(span.end * PAGE_BYTES, end) - offset, clear: span.clear });
  }
  return { ranges };
}
