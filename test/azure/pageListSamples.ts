/** Bodies of `comp=pagelist` as the service sends them: byte order mark, one line, kinds interleaved, ends inclusive. */
const body = (inner: string): Buffer =>
  Buffer.concat([
    Buffer.from([0xef, 0xbb, 0xbf]),
    Buffer.from(`<?xml version="1.0" encoding="utf-8"?>\n${inner}`),
  ]);

export const samples = {
  interleaved: body(
    '<PageList><PageRange><Start>558452736</Start><End>558456831</End></PageRange>' +
      '<ClearRange><Start>1199992832</Start><End>1199996927</End></ClearRange>' +
      '<PageRange><Start>1199996928</Start><End>1200001023</End></PageRange></PageList>',
  ),
  none: body('<PageList/>'),
};
