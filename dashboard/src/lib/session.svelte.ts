// Who is signed in, and to which environment.
import { access } from '../api/client';
import { may } from './may.svelte';
import { del, get, post, type SessionInfo } from '../api/shapes';

const KEY = 'posthouse-environment';

class Session {
  info = $state<SessionInfo | undefined>();
  /** Whether it is known yet if someone is signed in. */
  known = $state(false);
  environment = $state('');

  /** Asks the server who this is. */
  async load() {
    try {
      access.environment = undefined;
      const info = await get<SessionInfo>('/api/v1/auth/session');
      const chosen = sessionStorage.getItem(KEY);
      const is = info.environments.find(({ id }) => id === chosen) ? (chosen as string) : (info.envId ?? '');
      this.choose(is);
      this.info = info;
      may.readOnly = !info.scopes.some((scope) => scope === 'full' || scope === 'operator');
    } catch {
      this.info = undefined;
    } finally {
      this.known = true;
    }
  }

  choose(environment: string) {
    this.environment = environment;
    sessionStorage.setItem(KEY, environment);
    access.environment = environment;
  }

  /** Signs in by a key, or by a one-time link's token. */
  async enter(by: { key: string } | { oneTimeToken: string }) {
    await post('/api/v1/auth/session', by);
    await this.load();
  }

  async leave() {
    await del('/api/v1/auth/session');
    this.info = undefined;
  }

  can(scope: 'full' | 'operator'): boolean {
    const scopes = this.info?.scopes ?? [];
    return scopes.includes('operator') || (scope === 'full' && scopes.includes('full'));
  }
}

export const session = new Session();
