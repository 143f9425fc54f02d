/** What happens to the sums of a product: bias, activation, conversion, and their place in the output. */
import type { Activation, DType } from '@pergola/core';
import type { BindingSpec } from '../wgsl/access.ts';
import { halfActivation } from '../wgsl/half-activations.ts';
import { ACTIVATION_CALLS, ACTIVATION_HELPERS } from '../wgsl/math.ts';
import type { ParamType } from '../wgsl/program.ts';
import type { Width } from './operand.ts';

/** Where result `(batch, row, column)` lies in the output. */
export interface OutputLayout {
  /** In elements: distance of batch elements, and of rows. */
  readonly batchStride: number;
  readonly rowStride: number;
  /** Distance of columns; 1 unless channels are the outer axis of an image. */
  readonly columnStride: number;
  /** Rows of one image, where the output puts something between the rows of two; absent otherwise. */
  readonly image?: { readonly rows: number; readonly stride: number };
}

/** The part of a product that follows the sums. */
export interface Finish {
  readonly dtype: DType;
  /** Element stride of the bias, one for each column of each batch element; absent without bias. */
  readonly biasStride: number | undefined;
  readonly activation: Activation;
  readonly out: OutputLayout;
}

/** An epilogue within a program. */
export interface Epilogue {
  readonly bindings: readonly BindingSpec[];
  readonly types: Readonly<Record<string, ParamType>>;
  readonly values: Readonly<Record<string, number>>;
  readonly helpers: readonly string[];
  /**
   * WGSL. Width 4: `fn store_four(batch: u32, row: u32, column: u32, sums: vec4<f32>)` takes sums of four neighbouring
   * columns. Width 8: `struct Eight { low: vec4<f32>, high: vec4<f32> }`, `fn bias_eight(batch, column) -> Eight` and
   * `fn store_eight(batch, row, column, sums: Eight, bias: Eight)`. Rows and columns past the end are not stored.
   */
  readonly code: string;
}

/** Whether the output is stored `width` elements at a time, if its offset is a multiple of that. */
export function storesWide({ out }: Finish, columns: number, width: Width): boolean {
  if (out.image !== undefined || out.columnStride !== 1) return false;
  return [columns, out.rowStride, out.batchStride].every((stride) => stride % width === 0);
}

/** Whether the bias is read eight elements at a time, if its offset is a multiple of that. */
export function readsWideBias({ biasStride }: Finish, columns: number): boolean {
  return biasStride === 1 && columns % 8 === 0;
}

function placeCode({ image }: OutputLayout): string {
  const row =
    image === undefined
      ? 'row * params.out_row_s'
      : '(row / params.image_rows) * params.image_s + (row % params.image_rows) * params.out_row_s';
  return `
fn place_of(batch: u32, row: u32, column: u32) -> u32 {
  return batch * params.out_batch_s + ${row} + column * params.out_column_s;
}`;
}

/** Single stores of sums `values` of the columns from `column` on. */
function storeElements(count: Width, values: (i: number) => string): string {
  const stores = Array.from({ length: count }, (_, i) => {
    const column = `column + ${i}u`;
    return `  if (${column} < params.columns) { store_out(place_of(batch, row, ${column}), ${values(i)}); }`;
  });
  return stores.join('\n');
}

const LANES = ['x', 'y', 'z', 'w'] as const;

function activateFour(result: string): string {
  return `\nfn activate_four(sums: vec4<f32>) -> vec4<f32> { return ${result}; }`;
}

/** WGSL of `activate_four`, and the functions that it calls. */
function activationCode({ activation, dtype }: Finish): {
  helpers: readonly string[];
  code: string;
} {
  if (activation === 'none') return { helpers: [], code: activateFour('sums') };
  if (dtype === 'f16') {
    const { helper, call } = halfActivation(activation);
    return { helpers: [helper], code: activateFour(call('sums')) };
  }
  const lanes = LANES.map((lane) => ACTIVATION_CALLS[activation](`sums.${lane}`));
  return { helpers: ACTIVATION_HELPERS, code: activateFour(`vec4<f32>(${lanes.join(', ')})`) };
}

/** The bias of column `column + i`; past the end that of the last one. */
function biasElement(i: number): string {
  return `load_bias((batch * params.columns + min(column + ${i}u, params.columns - 1u)) * params.bias_s)`;
}

function fourCode({ biasStride }: Finish, wide: boolean): string {
  const sums =
    biasStride === undefined
      ? 'sums'
      : `sums + vec4<f32>(${[0, 1, 2, 3].map(biasElement).join(', ')})`;
  const store = wide
    ? '  if (column < params.columns) { store_out(place_of(batch, row, column) / 4u, result); }'
    : storeElements(4, (i) => `result[${i}]`);
  return `
fn store_four(batch: u32, row: u32, column: u32, sums: vec4<f32>) {
  if (row >= params.rows) { return; }
  let result = activate_four(${sums});
${store}
}`;
}

function eightCode({ biasStride }: Finish, wide: boolean, wideBias: boolean): string {
  let bias = 'return Eight();';
  if (biasStride !== undefined && wideBias) {
    bias = `let words = load_bias((batch * params.columns + min(column, params.columns - 8u)) / 8u);
  return Eight(floats_of(words.xy), floats_of(words.zw));`;
  } else if (biasStride !== undefined) {
    const four = (first: number): string =>
      `vec4<f32>(${[0, 1, 2, 3].map((i) => biasElement(first + i)).join(', ')})`;
    bias = `return Eight(${four(0)}, ${four(4)});`;
  }
  const store = wide
    ? '  if (column < params.columns) { store_out(place_of(batch, row, column) / 8u, halves_of(low, high)); }'
    : storeElements(8, (i) => (i < 4 ? `low[${i}]` : `high[${i - 4}]`));
  return `
struct Eight { low: vec4<f32>, high: vec4<f32> }
fn bias_eight(batch: u32, column: u32) -> Eight {
  ${bias}
}
fn store_eight(batch: u32, row: u32, column: u32, sums: Eight, bias: Eight) {
  if (row >= params.rows) { return; }
  let low = activate_four(sums.low${biasStride === undefined ? '' : ' + bias.low'});
  let high = activate_four(sums.high${biasStride === undefined ? '' : ' + bias.high'});
${store}
}`;
}

/** How an epilogue is specialised. */
export interface EpilogueShape {
  readonly width: Width;
  readonly wideOut: boolean;
  /** For width 8. */
  readonly wideBias: boolean;
}

/** The WGSL of a finish. Its bindings, `bias` (when there is one) and `out`, follow those of the operands. */
export function epilogue(finish: Finish, { width, wideOut, wideBias }: EpilogueShape): Epilogue {
  const { dtype, biasStride, out } = finish;
  const words = { dtype: 'u32', lanes: 4 } as const;
  const bindings: BindingSpec[] = [];
  const types: Record<string, ParamType> = {
    out_batch_s: 'u32',
    out_row_s: 'u32',
    out_column_s: 'u32',
  };
  const values: Record<string, number> = {
    out_batch_s: out.batchStride,
    out_row_s: out.rowStride,
    out_column_s: out.columnStride,
  };
  if (out.image !== undefined) {
    Object.assign(types, { image_rows: 'u32', image_s: 'u32' });
    Object.assign(values, { image_rows: out.image.rows, image_s: out.image.stride });
  }
  if (biasStride !== undefined) {
    const whole = width === 8 && wideBias;
    bindings.push({ name: 'bias', use: 'read', ...(whole ? words : { dtype }) });
    types['bias_s'] = 'u32';
    values['bias_s'] = biasStride;
  }
  if (!wideOut) bindings.push({ name: 'out', dtype, use: 'write' });
  else if (width === 4) bindings.push({ name: 'out', dtype, use: 'write', lanes: 4 });
  else bindings.push({ name: 'out', use: 'write', ...words });
  const store = width === 4 ? fourCode(finish, wideOut) : eightCode(finish, wideOut, wideBias);
  const activation = activationCode(finish);
  return {
    bindings,
    types,
    values,
    helpers: activation.helpers,
    code: `${placeCode(out)}${activation.code}${store}`,
  };
}
