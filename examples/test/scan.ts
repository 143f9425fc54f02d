/** A synthetic street scan: a ground plane, a wall and a few boxes, as points. */

/** `xyzxyz...` in metres, about 3 000 points round the origin. */
export function streetScan(): Float32Array {
  const points: number[] = [];
  let state = 7;
  const jitter = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.05;
  };
  const add = (x: number, y: number, z: number): void => {
    points.push(x + jitter(), y + jitter(), z + jitter());
  };
  for (let x = -4; x < 4; x += 0.2) for (let y = -4; y < 4; y += 0.2) add(x, y, 0);
  for (let x = -4; x < 4; x += 0.2) for (let z = 0; z < 2; z += 0.2) add(x, 3.5, z);
  for (const [cx, cy] of [
    [1, 1],
    [-2, -1],
    [2.5, -2],
  ] as const) {
    for (let a = -0.5; a <= 0.5; a += 0.1) {
      for (let z = 0.1; z < 1; z += 0.1) {
        add(cx + a, cy - 0.5, z);
        add(cx - 0.5, cy + a, z);
      }
    }
  }
  return Float32Array.from(points);
}
