// What is known of providers beside how they sign: what kind they are, and where at theirs a webhook is set up.
// A type that is not named here gets the plain steps; nothing depends on it being here.

/** What the API says of a type. */
interface Type {
  type: string;
  name: string;
  steps?: string[];
}

const kinds: [string, string][] = [
  ['Any sender', 'generic-webhook generic-hmac generic-token generic-basic generic-jwt cron standard-webhooks svix aws-sns google-pubsub'],
  ['Payments and banking', 'stripe adyen adyen-platform airwallex braintree brex chargebee checkbook checkout-com coinbase-commerce flutterwave flutterwave-v4 gocardless lemon-squeezy lithic mollie mollie-classic paddle paypal paystack plaid pleo psi-fi razorpay square xero'],
  ['Shops and shipping', 'bigcommerce shopify woocommerce easypost guesty wix rutter'],
  ['Code and deployment', 'github gitlab bitbucket gitea forgejo buildkite circleci travis-ci vercel render port-io sentry'],
  ['Running things', 'pagerduty incident-io cloudflare-notifications cloudflare-stream tailscale'],
  ['Email, chat and calls', 'slack discord telegram line meta twitter twilio telnyx ringcentral zoom sendgrid mailgun mailchimp mandrill postmark resend beehiiv nylas twitch'],
  ['People and identity', 'clerk okta stych veriff sardine safebase microsoft-graph'],
  ['Customers and support', 'hubspot intercom zendesk pipedrive segment calendly'],
  ['Work and documents', 'asana airtable jira atlassian-connect linear monday notion trello nash typeform docusign adobe-sign panda-doc dropbox figma contentful sanity webflow'],
  ['AI and the rest', 'open-ai replicate vapi openclaw nango strava'],
];
const kindOfType = new Map(kinds.flatMap(([kind, types]) => types.split(' ').map((type) => [type, kind] as const)));
const OTHER = 'AI and the rest';
/** Kinds in the order in which they are shown. */
export const KINDS = kinds.map(([kind]) => kind);

/** The place of a type in the order of its kind, where that is not the alphabet. */
export const rankInKind = (type: string): number => (kinds[0]?.[1] ?? '').split(' ').indexOf(type);

/** The kind of a type. */
export const kindOfProvider = (type: string): string => kindOfType.get(type) ?? OTHER;

/** Where at the provider, and what the secret is called there. `{url}` becomes the receiving URL. */
const steps: Record<string, string[]> = {
  stripe: ['In the Stripe dashboard open Developers, Webhooks, and add an endpoint.', 'Enter this endpoint URL: {url}', 'Choose the events to send, and save.', 'Reveal the signing secret (it begins with whsec_) and enter it here.'],
  github: ['Open the settings of the repository or organisation, then Webhooks, Add webhook.', 'Enter this payload URL: {url}', 'Choose the content type application/json.', 'Make up a secret, and enter the same one there and here.', 'Choose the events, and save. GitHub sends a ping at once.'],
  gitlab: ['Open the settings of the project or group, then Webhooks.', 'Enter this URL: {url}', 'Enter the same secret there and here, choose the triggers, and save.', 'Use Test to send a first event.'],
  bitbucket: ['Open the repository settings, then Webhooks, Add webhook.', 'Enter this URL: {url}', 'Enter the same secret there and here, choose the triggers, and save.'],
  gitea: ['Open the settings of the repository or organisation, then Webhooks, Add webhook, Gitea.', 'Enter this target URL: {url}', 'Enter the same secret there and here, and save.'],
  forgejo: ['Open the settings of the repository or organisation, then Webhooks, Add webhook, Forgejo.', 'Enter this target URL: {url}', 'Enter the same secret there and here, and save.'],
  shopify: ['In the admin open Settings, Notifications, Webhooks, and create a webhook in JSON.', 'Enter this URL: {url}', 'Below the list Shopify shows what webhooks are signed with: enter it here. For an app it is the client secret of the app.'],
  slack: ['Open the app at api.slack.com/apps. Its signing secret stands under Basic Information: enter it here.', 'Under Event Subscriptions enter this request URL: {url}', 'Slack asks at once whether the URL is yours; the question is answered for you.', 'Subscribe to events, and save.'],
  twilio: ['The auth token of the account stands on the first page of the Twilio console: enter it here.', 'Where the number or service has its webhook, enter this URL by HTTP POST: {url}', 'Twilio signs the URL: enter it exactly so.'],
  sendgrid: ['Open Settings, Mail Settings, Event Webhooks, and create one.', 'Enter this post URL: {url}', 'Turn the signed event webhook on, and enter its verification key here.', 'Save, and use Test Your Integration.'],
  mailgun: ['Open Sending, Webhooks, and add a webhook for each event.', 'Enter this URL: {url}', 'Enter the HTTP webhook signing key here.'],
  postmark: ['Open the server, its message stream, then Webhooks.', 'Enter this URL: {url}', 'Set the credentials that you enter here, choose the events, and save.'],
  paddle: ['Open Developer tools, Notifications, and create a destination.', 'Enter this URL: {url}', 'Copy the secret key of the destination, and enter it here.'],
  square: ['Open the application in the developer dashboard, then Webhooks, Subscriptions.', 'Enter this notification URL: {url}', 'Copy the signature key, and enter it here. Square signs the URL: enter it exactly so.'],
  hubspot: ['Open the app, then Webhooks.', 'Enter this target URL: {url}', 'Enter the client secret of the app here.', 'Create subscriptions and activate them.'],
  intercom: ['Open the app in the Developer Hub, then Webhooks.', 'Enter this endpoint URL: {url}', 'Enter the client secret of the app here, and choose the topics.'],
  zendesk: ['In the Admin Center open Apps and integrations, Webhooks, and create one.', 'Enter this endpoint URL, with POST and JSON: {url}', 'Reveal the signing secret of the webhook, and enter it here.'],
  jira: ['Open the system settings, then WebHooks, and create one.', 'Enter this URL: {url}', 'Enter the same secret there and here, choose the events, and save.'],
  linear: ['Open the settings, then API, and create a webhook.', 'Enter this URL: {url}', 'Copy the signing secret, and enter it here.'],
  sentry: ['Open Settings, Developer Settings, and create an internal integration.', 'Enter this webhook URL: {url}', 'Copy the client secret, and enter it here.'],
  typeform: ['Open the form, then Connect, Webhooks, Add a webhook.', 'Enter this endpoint: {url}', 'Enter the same secret there and here, and turn the webhook on.'],
  zoom: ['Open the app at the Zoom App Marketplace. Its secret token stands under Features: enter it here.', 'Add an event subscription with this notification URL: {url}', 'Press Validate: the question is answered for you. Then save.'],
  discord: ['Open the application in the Developer Portal, and enter its public key here.', 'Enter this interactions or webhook events URL: {url}', 'Discord asks at once whether signatures are checked; the question is answered for you.'],
  telegram: ['Call setWebhook of your bot with this url: {url}', 'Pass secret_token with the same secret as here.'],
  meta: ['Open the app, then the product’s webhooks.', 'Enter this callback URL: {url}', 'Enter the same verify token there and here, and the app secret here.', 'Subscribe to the fields.'],
  pagerduty: ['Open Integrations, Generic Webhooks (v3), New Webhook.', 'Enter this URL: {url}', 'Copy the secret that is shown after saving, and enter it here.'],
  vercel: ['Open the team settings, then Webhooks.', 'Enter this endpoint URL: {url}', 'Copy the secret that is shown once, and enter it here.'],
  webflow: ['Create the webhook in the site settings or over the API, with this URL: {url}', 'Enter the secret that belongs to it here.'],
  woocommerce: ['Open WooCommerce, Settings, Advanced, Webhooks, Add webhook.', 'Enter this delivery URL: {url}', 'Enter the same secret there and here, set the status to Active, and save.'],
  calendly: ['Create a webhook subscription over the API with this url: {url}', 'Pass signing_key with the same secret as here.'],
  clerk: ['Open the application in the Clerk dashboard, then Webhooks, Add Endpoint.', 'Enter this endpoint URL: {url}', 'Copy the signing secret (it begins with whsec_), and enter it here.'],
  resend: ['Open Webhooks, Add Webhook.', 'Enter this endpoint URL: {url}', 'Copy the signing secret (it begins with whsec_), and enter it here.'],
  'open-ai': ['Open the project settings, then Webhooks, and create one.', 'Enter this URL: {url}', 'Copy the signing secret that is shown once, and enter it here.'],
  'aws-sns': ['In the Amazon SNS console open the topic, and create a subscription by HTTPS.', 'Enter this endpoint: {url}', 'The confirmation of the subscription is answered for you.'],
  'google-pubsub': ['Create a push subscription of the topic.', 'Enter this endpoint URL: {url}', 'Turn authentication on, with the service account that you enter here.'],
  'generic-webhook': ['Let the sender post to this URL: {url}', 'Nothing is verified: whoever knows the URL can send. Keep it like a password.'],
  'generic-hmac': ['Let the sender post to this URL: {url}', 'It signs as described here, with the same secret.'],
  'generic-token': ['Let the sender post to this URL: {url}', 'It sends the token where it is expected here.'],
  'generic-basic': ['Let the sender post to this URL: {url}', 'It sends the user name and the password that are expected here.'],
  'generic-jwt': ['Let the sender post to this URL: {url}', 'It sends a token that is signed as expected here.'],
  cron: ['Nothing is to be set up elsewhere: the server itself makes a message at each time of the schedule.'],
};

const plain = (name: string) => [
  `Where ${name} sets up webhooks, enter this URL: {url}`,
  'Enter the signing secret that it shows here, exactly as it stands there.',
  'Choose the events to send, and save.',
];

/** A step: text, or text with the URL behind it. */
export interface Step {
  text: string;
  url: boolean;
}

/** The steps at the provider's side. */
export function stepsOf({ type, name, steps: said }: Type): Step[] {
  return (said?.length ? said : (steps[type] ?? plain(name))).map((step) => ({ text: step.replace(/:? ?\{url\}$/, ''), url: step.endsWith('{url}') }));
}

/** Whose side the steps are to be taken at. */
export const sideOf = ({ type, name }: Type): string => (type.startsWith('generic-') || type === 'standard-webhooks' ? 'At the sender’s side' : `At ${name.replace(/ *\(.*\)$/, '')}’s side`);

/** At most two letters that stand for a provider. */
export function initials(name: string): string {
  const parts = name.replace(/\(.*\)/, '').split(/[\s.-]+/).filter((part) => /^[\p{L}\p{N}]/u.test(part));
  const letters = parts.length > 1 ? parts.slice(0, 2).map((part) => part.charAt(0)) : [...(parts[0] ?? name)].slice(0, 2);
  return letters.join('').toUpperCase();
}
