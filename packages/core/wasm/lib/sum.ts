// Sums over contiguous floats: four lanes of f64 partial sums, so that long rows lose nothing.

// @ts-ignore: decorator
@inline
function lanes(low: v128, high: v128): f64 {
  return (
    f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1) +
    (f64x2.extract_lane(high, 0) + f64x2.extract_lane(high, 1))
  );
}

// @ts-ignore: decorator
@inline
function widenHigh(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<u64>(x, x, 1, 1));
}

/** Sum of `count` floats. */
export function sumOf(at: usize, count: i32): f64 {
  let low = f64x2.splat(0);
  let high = low;
  const end = at + (<usize>count << 2);
  const vectors = at + (<usize>(count & ~3) << 2);
  for (; at < vectors; at += 16) {
    const x = v128.load(at);
    low = f64x2.add(low, f64x2.promote_low_f32x4(x));
    high = f64x2.add(high, widenHigh(x));
  }
  let total = lanes(low, high);
  for (; at < end; at += 4) total += <f64>load<f32>(at);
  return total;
}

/** Sum of `(x - centre)^2` over `count` floats; squared in f64, which neither overflows nor underflows. */
export function squaresOf(at: usize, count: i32, centre: f32): f64 {
  let low = f64x2.splat(0);
  let high = low;
  const middle = f32x4.splat(centre);
  const end = at + (<usize>count << 2);
  const vectors = at + (<usize>(count & ~3) << 2);
  for (; at < vectors; at += 16) {
    const x = f32x4.sub(v128.load(at), middle);
    const first = f64x2.promote_low_f32x4(x);
    const second = widenHigh(x);
    low = f64x2.add(low, f64x2.mul(first, first));
    high = f64x2.add(high, f64x2.mul(second, second));
  }
  let total = lanes(low, high);
  for (; at < end; at += 4) {
    const x = <f64>(load<f32>(at) - centre);
    total += x * x;
  }
  return total;
}

/** The largest of `count` floats, -Infinity without any; NaN when one is NaN. */
export function highestOf(at: usize, count: i32): f32 {
  let highest = f32x4.splat(-Infinity);
  const end = at + (<usize>count << 2);
  const vectors = at + (<usize>(count & ~3) << 2);
  for (; at < vectors; at += 16) highest = f32x4.max(highest, v128.load(at));
  for (; at < end; at += 4) highest = f32x4.max(highest, v128.load_splat<f32>(at));
  return max(
    max(f32x4.extract_lane(highest, 0), f32x4.extract_lane(highest, 1)),
    max(f32x4.extract_lane(highest, 2), f32x4.extract_lane(highest, 3)),
  );
}

/** The smallest of `count` floats, Infinity without any; NaN when one is NaN. */
export function lowestOf(at: usize, count: i32): f32 {
  let lowest = f32x4.splat(Infinity);
  const end = at + (<usize>count << 2);
  const vectors = at + (<usize>(count & ~3) << 2);
  for (; at < vectors; at += 16) lowest = f32x4.min(lowest, v128.load(at));
  for (; at < end; at += 4) lowest = f32x4.min(lowest, v128.load_splat<f32>(at));
  return min(
    min(f32x4.extract_lane(lowest, 0), f32x4.extract_lane(lowest, 1)),
    min(f32x4.extract_lane(lowest, 2), f32x4.extract_lane(lowest, 3)),
  );
}
