// Whose name stands in the titles of pages: ours, or in the portal the operator's.
class Brand {
  name = $state('Posthouse');
}

export const brand = new Brand();
