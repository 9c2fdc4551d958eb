// What the reader may do. The server decides; pages leave out what would be refused.

export type Capability = 'ViewBase' | 'ViewEndpointSecret' | 'ManageEndpointSecret' | 'ManageTransformations' | 'CreateAttempts' | 'ManageEndpoint';

class May {
  /** The portal token's capabilities; undefined in the operator's app, where scopes decide. */
  capabilities = $state<Capability[] | undefined>();
  /** The operator's key only reads. */
  readOnly = $state(false);

  /** Whether pages offer it. */
  has(capability: Capability): boolean {
    if (this.capabilities) return this.capabilities.includes(capability);
    return !this.readOnly || capability === 'ViewBase';
  }
}

export const may = new May();
