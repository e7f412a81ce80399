/**
 * Phones shrink what is visible, not the window, when the keyboard opens: `--visible` is the
 * height that is left. The answer undoes it.
 */
export function fitVisible(): (() => void) | undefined {
  const visible = window.visualViewport;
  if (!visible) return undefined;
  const fit = () => document.documentElement.style.setProperty('--visible', `${visible.height}px`);
  fit();
  visible.addEventListener('resize', fit);
  return () => visible.removeEventListener('resize', fit);
}
