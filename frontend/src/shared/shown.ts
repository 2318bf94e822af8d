/** Points as they are written: claims met in proportion give fractions without end. */
export function shown(points: number): number {
  return Math.round(points * 10) / 10;
}
