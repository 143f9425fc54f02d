// Calling convention of pool jobs: `(args, begin, end, scratch)` handles items [begin, end). `args` is the address of
// up to 192 32-bit words; `scratch` is 512 KiB that no other thread touches, its contents undefined.

// @ts-ignore: decorator
@inline
export function word(args: usize, index: usize): i32 {
  return load<i32>(args + (index << 2));
}

// @ts-ignore: decorator
@inline
export function address(args: usize, index: usize): usize {
  return <usize>load<u32>(args + (index << 2));
}

// @ts-ignore: decorator
@inline
export function float(args: usize, index: usize): f32 {
  return load<f32>(args + (index << 2));
}
