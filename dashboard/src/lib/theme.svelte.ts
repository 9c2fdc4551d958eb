// Light or dark: as the system has it, unless the reader chose.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'posthouse-theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

class Look {
  theme = $state<Theme>(stored());

  set(theme: Theme, keep = true) {
    this.theme = theme;
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    if (!keep) return;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be closed to a foreign frame: the choice holds for this page.
    }
  }

  /** What is shown now. */
  get isDark(): boolean {
    return this.theme === 'dark' || (this.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  }
}

export const look = new Look();
