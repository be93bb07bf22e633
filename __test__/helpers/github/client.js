// A plain client of the tests' GitHub: requests as a program would send them, in a few words.
'use strict'

/** @param {{ apiUrl: string, graphqlUrl: string, repo: string, token: string }} github */
function clientOf({ apiUrl, graphqlUrl, repo, token }) {
  const send = async (url, method, body, headers) => {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }
  const bodyOf = ({ status, body }) => {
    if (status >= 400) throw new Error(`${status}: ${body.message ?? body}`)
    return body
  }
  const api = (method, path, body, headers) => send(`${apiUrl}${path}`, method, body, headers)
  const inRepo = (method, path, body, headers) => api(method, `/repos/${repo}${path}`, body, headers)
  const graphql = (query, variables) => send(graphqlUrl, 'POST', { query, variables })
  const client = {
    api,
    inRepo,
    graphql,
    /** Where a ref points to, or null. */
    async tip(name) {
      const answer = await inRepo('GET', `/git/ref/${name}`)
      return answer.status === 404 ? null : bodyOf(answer).object.sha
    },
    /** A new commit on `parent` (or none); its object id. */
    async commit(message, parent, extra = {}) {
      const main = bodyOf(await inRepo('GET', '/git/ref/heads/main'))
      const head = bodyOf(await inRepo('GET', `/git/commits/${main.object.sha}`))
      const parents = parent === undefined ? [] : [parent]
      return bodyOf(await inRepo('POST', '/git/commits', { message, tree: head.tree.sha, parents, ...extra })).sha
    },
    createRef: (name, sha) => inRepo('POST', '/git/refs', { ref: `refs/${name}`, sha }),
    moveRef: (name, sha, force) => inRepo('PATCH', `/git/refs/${name}`, { sha, force }),
    async repositoryId() {
      return bodyOf(await api('GET', `/repos/${repo}`)).node_id
    },
    async updateRefs(refUpdates, repositoryId) {
      const input = { repositoryId: repositoryId ?? (await client.repositoryId()), refUpdates }
      return graphql('mutation ($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }', { input })
    },
  }
  return client
}

module.exports = { clientOf }
