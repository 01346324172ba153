// An OpenID Connect provider at which anybody may log in: node provider.js PORT CLIENT SECRET SERVER

import { Provider } from "oidc-provider";

const [port, client, secret, server] = process.argv.slice(2);
const groups = { 김검토: ["compliance"], 이선임: ["compliance", "leads"] };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      redirect_uris: [`${server}/review/login/oidc/back`],
      post_logout_redirect_uris: [`${server}/review/login`],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["of the tests alone"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  pkce: { required: () => true },
});

provider.listen(Number(port), "127.0.0.1", () => process.stdout.write("listens\n"));
