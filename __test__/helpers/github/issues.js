// The issues of the repository: assignees, labels and comments, kept in memory. People read them; no lock may.
'use strict'

const { filled } = require('./contract')
const { Refusal } = require('./repository')

/** GitHub's own bounds. */
const MOST_COMMENTS = 2500
const MOST_ASSIGNEES = 10
const LONGEST_BODY = 65_536

class Issues {
  #clock
  #issues = new Map()
  #comments = new Map()
  #labels = new Map()

  /** @param {{ clock: { now(): Date }, count: number, user: object, urls: { repo: string, html: string } }} options */
  constructor({ clock, count, user, urls }) {
    this.#clock = clock
    this.user = user
    this.urls = urls
    for (let number = 1; number <= count; number++) this.#open(number)
  }

  #open(number) {
    const at = this.#now()
    const kept = { number, title: `Task ${number}`, body: null, state: 'open', assignees: [], labels: [], comments: [] }
    this.#issues.set(number, { ...kept, createdAt: at, updatedAt: at })
  }

  #now() {
    return this.#clock.now().toISOString().replace(/\.\d+Z$/, 'Z')
  }

  #issue(number) {
    const issue = this.#issues.get(number)
    if (issue === undefined) throw new Refusal(404, 'Not Found')
    return issue
  }

  get(number) {
    return this.#shown(this.#issue(number))
  }

  update(number, { title, body, state, labels, assignees }) {
    const issue = this.#issue(number)
    if (title !== undefined && title !== null) issue.title = String(title)
    if (body !== undefined) issue.body = body
    if (state !== undefined) issue.state = state
    if (labels !== undefined) issue.labels = named(labels, 'name')
    if (assignees !== undefined) issue.assignees = this.#assignable(named(assignees, 'login'))
    return this.#changed(issue)
  }

  assign(number, { assignees = [] } = {}) {
    const issue = this.#issue(number)
    issue.assignees = this.#assignable([...issue.assignees, ...named(assignees, 'login')])
    return this.#changed(issue)
  }

  unassign(number, { assignees }) {
    const issue = this.#issue(number)
    issue.assignees = issue.assignees.filter((login) => !assignees.includes(login))
    return this.#changed(issue)
  }

  label(number, { labels = [] } = {}) {
    const issue = this.#issue(number)
    issue.labels = [...new Set([...issue.labels, ...named(labels, 'name')])]
    return this.#changed(issue).labels
  }

  unlabel(number, name) {
    const issue = this.#issue(number)
    if (!issue.labels.includes(name)) throw new Refusal(404, 'Label does not exist')
    issue.labels = issue.labels.filter((one) => one !== name)
    return this.#changed(issue).labels
  }

  comment(number, { body }) {
    const issue = this.#issue(number)
    this.#checkBody(body)
    if (issue.comments.length >= MOST_COMMENTS) throw new Refusal(422, 'The issue has too many comments')
    const at = this.#now()
    const comment = { id: 1_000_000 + this.#comments.size, number, body, createdAt: at, updatedAt: at }
    issue.comments.push(comment)
    this.#comments.set(comment.id, comment)
    return this.#shownComment(comment)
  }

  editComment(id, { body }) {
    const comment = this.#comments.get(id)
    if (comment === undefined) throw new Refusal(404, 'Not Found')
    this.#checkBody(body)
    comment.body = body
    comment.updatedAt = this.#now()
    return this.#shownComment(comment)
  }

  comments(number, { since, per_page: asked = 30, page = 1 }) {
    const each = Math.min(Math.max(asked, 1), 100)
    const all = this.#issue(number).comments.filter(({ updatedAt }) => since === undefined || updatedAt >= since)
    const shown = all.slice((page - 1) * each, page * each)
    return { shown: shown.map((comment) => this.#shownComment(comment)), more: page * each < all.length }
  }

  #checkBody(body) {
    if (body === '' || body.length > LONGEST_BODY) throw new Refusal(422, 'Validation Failed')
  }

  /** Who has no access is passed over without a word. */
  #assignable(logins) {
    return [...new Set(logins)].filter((login) => login === this.user.login).slice(0, MOST_ASSIGNEES)
  }

  #changed(issue) {
    issue.updatedAt = this.#now()
    return this.#shown(issue)
  }

  #shown(issue) {
    const { repo, html } = this.urls
    const url = `${repo}/issues/${issue.number}`
    const assignees = issue.assignees.map(() => this.user)
    const known = {
      id: 10_000 + issue.number,
      node_id: `I_${issue.number}`,
      number: issue.number,
      url,
      html_url: `${html}/issues/${issue.number}`,
      repository_url: repo,
      labels_url: `${url}/labels{/name}`,
      comments_url: `${url}/comments`,
      events_url: `${url}/events`,
      title: issue.title,
      body: issue.body,
      state: issue.state,
      user: this.user,
      assignee: assignees[0] ?? null,
      assignees,
      labels: issue.labels.map((name) => this.#shownLabel(name)),
      comments: issue.comments.length,
      created_at: issue.createdAt,
      updated_at: issue.updatedAt,
    }
    return filled('issue', known, url)
  }

  #shownLabel(name) {
    if (!this.#labels.has(name)) this.#labels.set(name, 5000 + this.#labels.size)
    const url = `${this.urls.repo}/labels/${encodeURIComponent(name)}`
    return filled('label', { id: this.#labels.get(name), name, url, color: 'ededed' }, url)
  }

  #shownComment({ id, number, body, createdAt, updatedAt }) {
    const { repo, html } = this.urls
    const known = {
      id,
      node_id: `IC_${id}`,
      url: `${repo}/issues/comments/${id}`,
      html_url: `${html}/issues/${number}#issuecomment-${id}`,
      issue_url: `${repo}/issues/${number}`,
      body,
      user: this.user,
      created_at: createdAt,
      updated_at: updatedAt,
    }
    return filled('issue-comment', known, repo)
  }
}

/** Names are given as texts or as objects. */
function named(list, key) {
  return list.map((one) => (typeof one === 'string' ? one : one[key])).filter((name) => name !== undefined)
}

module.exports = { Issues }
