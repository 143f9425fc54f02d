/** `uniqueCoords` on the CPU: a radix sort by one thread over as many key bits as the coordinates span. */
import { addressOf, withTemporary, type CpuKernel } from '@pergola/core';
import { wasm } from './wasm/unique.generated.ts';

export const uniqueCoordsKernel: CpuKernel<object, number> = {
  op: 'uniqueCoords',
  supports: () => true,
  prepare: ({ inputs: [coords] }) => coords!.shape[0]!,
  run(rows, [coords], outputs, context) {
    withTemporary(context, 12 * rows, (temporary) => {
      const [unique, inverse, order, offsets, summary] = outputs.map((x) => addressOf(x, 'i32'));
      const words = [
        ...[addressOf(coords!, 'i32'), rows, unique!, inverse!, order!, offsets!, summary!],
        temporary,
      ];
      context.pool.run(wasm, 'unique', words, 1, 1);
    });
  },
};
