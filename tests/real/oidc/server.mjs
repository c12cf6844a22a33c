// An authorization server (oidc-provider) with client credentials. PORT; TTL: how long a token lives, in seconds.
import * as oidc from 'oidc-provider';
import http from 'node:http';

const Provider = oidc.Provider || oidc.default;
const port = Number(process.env.PORT);
const scope = 'partnerId:p1 role:partnerIdAdmin';
const client = (id, secret, method, grants) => ({
  client_id: id, client_secret: secret, token_endpoint_auth_method: method, grant_types: grants,
  redirect_uris: [], response_types: [], scope,
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client('form', 'se:cr et%+/=', 'client_secret_post', ['client_credentials']),
    // LoopBack, which asks about tokens
    { ...client('rs', 'rs-secret', 'client_secret_basic', []), scope: undefined },
  ],
  scopes: scope.split(' '),
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: Number(process.env.TTL || 10) },
});
http.createServer(provider.callback()).listen(port, '127.0.0.1');
