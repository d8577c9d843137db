// What is to be painted: the window of time, the lines, how far they are scrolled. All pure: no DOM.

import type { States } from "../lib/types";
import type { Line, Model } from "./model";

export const ROW = 22;
export const AXIS = 30;

export interface Scene {
  model: Model;
  lines: Line[];
  closed: ReadonlySet<string>;
  states: ReadonlyMap<string, States["segments"]>;
  /** the window, ms since 1970 */
  t0: number;
  t1: number;
  /** pixels scrolled down */
  top: number;
  width: number;
  height: number;
  /** of the labels' column */
  label: number;
  /** the line that the keyboard is on; -1 for none */
  chosen: number;
  /** where the pointer is, if it is over the marks */
  hover: { x: number; y: number } | null;
}

export function xOf(scene: Scene, t: number): number {
  return scene.label + ((t - scene.t0) / (scene.t1 - scene.t0)) * (scene.width - scene.label);
}

export function tOf(scene: Scene, x: number): number {
  return scene.t0 + ((x - scene.label) / (scene.width - scene.label)) * (scene.t1 - scene.t0);
}

/** Which line is at a height of the canvas; -1 above the first. */
export function lineAt(scene: Scene, y: number): number {
  return y < AXIS ? -1 : Math.floor((y - AXIS + scene.top) / ROW);
}

export function yOf(scene: Scene, line: number): number {
  return AXIS + line * ROW - scene.top;
}

/** The first and the last line to be seen. */
export function seen(scene: Scene): [number, number] {
  const first = Math.max(0, Math.floor(scene.top / ROW));
  return [first, Math.min(scene.lines.length - 1, first + Math.ceil((scene.height - AXIS) / ROW))];
}

export function mostTop(scene: Scene): number {
  return Math.max(0, scene.lines.length * ROW - (scene.height - AXIS));
}
