/** Conversions between dtypes as WGSL expressions of `a`. */
import type { DType } from '@pergola/core';
import { valueType } from '../wgsl/access.ts';

/** Floats truncate toward zero and saturate; NaN becomes 0. Bounds are the first floats out of range. */
function floatToInteger(dtype: 'i32' | 'u32' | 'u8'): string {
  switch (dtype) {
    case 'i32':
      return 'select(select(select(i32(a), 0x7fffffff, a >= 2147483648.0), i32(-2147483648), a <= -2147483648.0), 0, is_nan(a))';
    case 'u32':
      return 'select(select(select(u32(a), 0xffffffffu, a >= 4294967296.0), 0u, a <= 0.0), 0u, is_nan(a))';
    case 'u8':
      return 'select(select(select(u32(a), 255u, a >= 255.0), 0u, a <= 0.0), 0u, is_nan(a))';
    default:
      return dtype satisfies never;
  }
}

/** Expression of type `valueType(to)`; stores narrow it further to u8 and f16. */
export function castExpression(from: DType, to: DType): string {
  const source = valueType(from);
  const target = valueType(to);
  if (target === 'bool') return source === 'bool' ? 'a' : `!(a == ${source}(0))`;
  if (source === 'f32' && target !== 'f32') return floatToInteger(to as 'i32' | 'u32' | 'u8');
  // Integers wrap, which conversion of WGSL does.
  return source === target ? 'a' : `${target}(a)`;
}
