// The skills of a QA team of agents: what to try on which part of a web shop, one skill each.
'use strict'

const AREAS = {
  login: {
    title: 'Login',
    subject: 'the login form',
    data: 'an e-mail address and a password',
    failure: 'a session opens without a valid password',
  },
  reset: {
    title: 'Password reset',
    subject: 'the reset link',
    data: 'a one-time token',
    failure: 'a used token is accepted again',
  },
  session: {
    title: 'Sessions',
    subject: 'the session cookie',
    data: 'a signed cookie',
    failure: 'a logged-out cookie still works',
  },
  search: {
    title: 'Search',
    subject: 'the search box',
    data: 'a query of 1 to 200 characters',
    failure: 'hidden products are listed',
  },
  basket: {
    title: 'Basket',
    subject: 'the shopping basket',
    data: 'quantities from 1 to 99',
    failure: 'the total differs from the sum of the lines',
  },
  checkout: {
    title: 'Checkout',
    subject: 'the order button',
    data: 'a basket, an address and a card',
    failure: 'one order is charged twice',
  },
  invoice: {
    title: 'Invoices',
    subject: 'the invoice as PDF',
    data: 'net, tax and total in cents',
    failure: 'a rounding error of one cent',
  },
  upload: {
    title: 'File upload',
    subject: 'the picture of a review',
    data: 'JPEG and PNG up to 5 MB',
    failure: 'a renamed program is stored',
  },
  mail: {
    title: 'Notifications',
    subject: 'the order confirmation',
    data: 'an address and a language',
    failure: 'it is sent to the previous customer',
  },
  rights: {
    title: 'Permissions',
    subject: 'the back office',
    data: 'the roles clerk, manager and auditor',
    failure: 'a clerk sees what only managers may',
  },
  import: {
    title: 'Import',
    subject: 'the product list as CSV',
    data: 'up to 10,000 lines of UTF-8',
    failure: 'half of a refused file is kept',
  },
  export: {
    title: 'Export',
    subject: 'the monthly report',
    data: 'a month and a currency',
    failure: 'the last day of the month is missing',
  },
  settings: {
    title: 'Settings',
    subject: 'the profile page',
    data: 'a name, a language and a time zone',
    failure: 'a change is shown but not stored',
  },
}

const TECHNIQUES = {
  limits: {
    title: 'at its limits',
    first: (area) => `Find the least and the greatest that ${area.subject} takes: ${area.data}.`,
    then: 'Try each limit, one below and one above it, and nothing at all.',
  },
  double: {
    title: 'twice at once',
    first: (area) => `Open ${area.subject} in two windows with the same account.`,
    then: 'Act in both within 50 ms, in both orders, ten times.',
  },
  offline: {
    title: 'with the network gone',
    first: (area) => `Use ${area.subject} with ${area.data}, and cut the network before the answer.`,
    then: 'Reconnect, reload, and do it again.',
  },
  reader: {
    title: 'with a screen reader',
    first: (area) => `Reach ${area.subject} and finish with the keyboard alone.`,
    then: 'Check that every change and every error is announced.',
  },
}

/** One skill for each technique on each area, 52 in all. */
function makeSkills() {
  return Object.entries(AREAS).flatMap(([areaId, area]) =>
    Object.entries(TECHNIQUES).map(([techniqueId, technique]) => ({
      id: `${areaId}.${techniqueId}`,
      area: areaId,
      title: `${area.title} ${technique.title}`,
      steps: [technique.first(area), technique.then, `Report at once if ${area.failure}.`],
      lessons: [],
      revision: 0,
    })),
  )
}

module.exports = { AREA_IDS: Object.keys(AREAS), makeSkills }
