'use strict';
// LoopBack 3 with the routes that Plume's documents name. Whatever can be the framework's own is the framework's own.
// PORT; CUSTOMERS: how many; LOG: a file with one line for each call; AUTH: `lb` or `oauth`, with INTROSPECT;
// GZIP: answers are compressed; SLOW: milliseconds that each call takes; READ_ONLY: writes are refused, with 401 or with this status.
process.env.NODE_ENV = 'production';
const loopback = require('loopback');
const fs = require('fs');
const http = require('http');
const env = process.env;
const app = module.exports = loopback();
app.set('remoting', { rest: { handleErrors: false, normalizeHttpPath: false, xml: false }, json: { strict: false } });
app.set('restApiRoot', '/api');
app.set('legacyExplorer', false);
if (env.READ_ONLY === '403') app.set('aclErrorStatus', 403);
if (env.GZIP) app.middleware('initial:before', require('compression')({ threshold: 0, filter: () => true }));
if (env.GZIP) app.middleware('initial:before', (req, res, next) => { req.headers['accept-encoding'] = 'gzip'; next(); });

const log = fs.openSync(env.LOG, 'a');
app.middleware('initial', (req, res, next) => {
  const method = req.method;
  res.on('finish', () => fs.writeSync(log, `${method} ${res.statusCode} ${req.originalUrl}\n`));
  setTimeout(next, req.path.startsWith('/api') ? Number(env.SLOW || 0) : 0);
});

const store = app.dataSource('store', { connector: 'memory' });
const users = app.dataSource('users', { connector: 'memory' });
const everyone = { principalType: 'ROLE', principalId: '$everyone', permission: 'DENY' };
const known = { principalType: 'ROLE', principalId: '$authenticated', permission: 'ALLOW' };
const guarded = env.AUTH === 'lb';
const may = guarded ? [everyone, { ...known, accessType: env.READ_ONLY ? 'READ' : '*' }] : [];
const Customer = app.registry.createModel('Customer', {
  id: { type: String, id: true, generated: false }, accountId: { type: String, required: true, index: true },
  partnerId: { type: String, required: true }, name: String, email: String, createdAt: Date, _version: String,
}, {
  plural: 'Customers', strict: true, acls: may,
  relations: { locations: { type: 'hasMany', model: 'Location', foreignKey: 'customerId' } },
});
const Location = app.registry.createModel('Location', {
  id: { type: String, id: true, generated: false }, name: String, serviceId: String, profile: String,
  createdAt: Date, customerId: String,
}, {
  plural: 'Locations', strict: true,
  relations: { customer: { type: 'belongsTo', model: 'Customer', foreignKey: 'customerId' } },
});
const Partner = app.registry.createModel('Partner', { id: { type: String, id: true } },
  { plural: 'Partners', acls: guarded ? [everyone, known] : [] });
const User = app.registry.getModel('User');
const Token = app.registry.getModel('AccessToken');
for (const name of ['User', 'AccessToken', 'ACL', 'Role', 'RoleMapping']) {
  app.model(app.registry.getModel(name), { dataSource: users, public: false });
}
app.model(Location, { dataSource: store, public: true });
app.model(Customer, { dataSource: store, public: true });
app.model(Partner, { dataSource: users, public: true });
Customer.validatesUniquenessOf('accountId', { scopedTo: ['partnerId'], message: 'Duplicate key' });
Location.validatesInclusionOf('profile', { in: ['auto', 'smallbusiness'], allowNull: true });
Location.validatesLengthOf('serviceId', { min: 1, allowNull: true });

Partner.searchCustomers = function (keyword, field, exactMatch, startsWith, limit, skip, done) {
  const refuse = (message) => done(Object.assign(new Error(message), { statusCode: 422 }));
  if (!['accountId', 'locationId', 'name', 'email'].includes(field)) return refuse('Illegal field');
  if (keyword === 'null') return refuse('Illegal search keyword');
  const where = exactMatch !== false ? { [field]: keyword } : { [field]: { like: keyword } };
  const include = { relation: 'locations', scope: { fields: { id: true, customerId: true } } };
  Customer.find({ where, limit: limit || 10, skip: skip || 0, include }, (error, list) => {
    if (error) return done(error);
    done(null, list.map((customer) => customer.toJSON()).map((customer) => ({
      id: customer.id, accountId: customer.accountId, name: customer.name,
      locations: (customer.locations || []).map((location) => ({ id: location.id })), email: customer.email,
    })));
  });
};
const argument = (arg, type) => ({ arg, type });
Partner.remoteMethod('searchCustomers', {
  http: { verb: 'get', path: '/customers/search/:keyword' },
  accepts: [{ arg: 'keyword', type: 'string', required: true, http: { source: 'path' } }, argument('field', 'string'),
    argument('exactMatch', 'boolean'), argument('startsWith', 'boolean'), argument('limit', 'number'),
    argument('skip', 'number')],
  returns: { arg: 'data', type: 'array', root: true },
});

if (env.AUTH === 'oauth') {
  app.middleware('auth', async (req, res, next) => {
    const refuse = () => next(Object.assign(new Error('Authorization Required'), { statusCode: 401 }));
    const token = /^Bearer (.+)$/.exec(req.headers.authorization || '');
    if (['/state', '/reset'].includes(req.path)) return next();
    if (!token) return refuse();
    try {
      const authorization = 'Basic ' + Buffer.from('rs:rs-secret').toString('base64');
      const body = new URLSearchParams({ token: token[1] });
      const answer = await fetch(env.INTROSPECT, { method: 'POST', headers: { authorization }, body });
      return (await answer.json()).active ? next() : refuse();
    } catch (error) { return next(error); }
  });
}
if (guarded) {
  app.enableAuth({ dataSource: users });
  app.middleware('auth', loopback.token({ bearerTokenBase64Encoded: false, model: Token }));
}
// PATCH on a relation's member is not among LoopBack's own routes, PUT is; the document says PATCH.
app.middleware('routes:before', (req, res, next) => {
  if (req.method === 'PATCH' && /^\/api\/Customers\/[^/]+\/locations\/[^/]+$/.test(req.path)) req.method = 'PUT';
  next();
});
// Straight into the connector: the framework's check of uniqueness is quadratic.
const call = (method, ...given) => new Promise((resolve, reject) => store.connector[method](...given, {},
  (error) => (error ? reject(error) : resolve())));
async function fill() {
  await call('destroyAll', 'Customer', {});
  await call('destroyAll', 'Location', {});
  for (let n = 0; n < Number(env.CUSTOMERS); n++) {
    await call('create', 'Customer', { id: `c${n}`, accountId: `A-${String(n).padStart(5, '0')}`, partnerId: 'p1',
      name: 'N', email: 'a@example.com', createdAt: new Date(), _version: '1.0' });
    await call('create', 'Location', { id: `l${n}`, customerId: `c${n}`, name: 'Home', profile: 'auto',
      createdAt: new Date() });
  }
}
// As it was in the beginning.
app.middleware('routes:before', '/reset', (req, res, next) => fill().then(() => res.json([]), next));
app.middleware('routes:before', '/state', (req, res) => {
  Customer.find({}, (error, all) => res.json(error ? [] : all.map((customer) => [customer.id, customer.accountId])));
});
app.middleware('routes', '/api', app.loopback.rest());
app.middleware('final', loopback.urlNotFound());
app.middleware('final:after', require('strong-error-handler')({ debug: false, log: false }));

(async () => {
  await fill();
  if (guarded) {
    const user = await User.create({ email: 'a@b.cd', password: 'x' });
    await Token.create({ id: 'lb-token-0123456789', userId: user.id, ttl: 86400 });
  }
  http.createServer(app).listen(Number(env.PORT), '127.0.0.1');
})();
