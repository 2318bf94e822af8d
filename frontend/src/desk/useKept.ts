/** A choice that this browser keeps, where it may keep anything; else it lasts for the page. */
import { useState } from "react";

function kept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function useKept(key: string, otherwise: boolean): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => ({ on: true, off: false })[kept(key) ?? ""] ?? otherwise);
  const keep = (chosen: boolean): void => {
    setValue(chosen);
    try {
      localStorage.setItem(key, chosen ? "on" : "off");
    } catch {
      // It lasts for this page.
    }
  };
  return [value, keep];
}
