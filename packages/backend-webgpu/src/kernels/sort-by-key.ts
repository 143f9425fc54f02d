/** `sortByKey`: a radix sort of row numbers, then one gather of the rows. */
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { enqueue, type Launch } from './launch.ts';
import { planRowSort, SORT_STRATEGIES, type RowSort, type SortStrategy } from './radix-sort.ts';

const WORKGROUP = 256;

interface Plan {
  readonly sort: RowSort;
  readonly gather: Launch;
  readonly rows: number;
}

function gatherLaunch(context: WebGpuContext, rows: number, width: number): Launch {
  const program = context.program({
    label: 'sortByKey.gather',
    bindings: [
      { name: 'keys', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'sorted', dtype: 'u32', use: 'write' },
    ],
    params: { width: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(at: u32) {
  store_sorted(at, load_keys(load_order(at / params.width) * params.width + at % params.width));
}`,
  });
  return { program, params: program.pack({ width }), count: rows * width };
}

export const sortByKeyKernel: WebGpuKernel<object, Plan> = {
  op: 'sortByKey',
  strategies: SORT_STRATEGIES,
  supports: () => true,
  prepare({ inputs }, context, forced) {
    const { dtype, shape } = inputs[0]!;
    const [rows, width = 1] = shape as [number, number?];
    return {
      sort: planRowSort(context, dtype, rows, width, forced as SortStrategy | undefined),
      gather: gatherLaunch(context, rows, width),
      rows,
    };
  },
  run({ sort, gather, rows }, [keys], [sorted, order], context) {
    const packed = context.scratch(rows * sort.words);
    sort.run(context, keys!, order!, packed);
    context.release(packed);
    enqueue(context, gather, [keys!, order!, sorted!]);
  },
};
