/** The chart as Vega-Lite; docs/charts.md has Python that makes such a one. */
export function vegaLiteSpec({ title, server, unit, measures, rows, scale }) {
  const axis = scale === 'log' ? { type: 'log', nice: false } : { zero: false }
  const facts = measures.map(({ key, name, um, picture }) => [
    key,
    { name, picture: `${server ?? ''}${picture}`, half: um / 2 },
  ])
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    data: { values: rows },
    params: [
      {
        name: 'shown',
        value: measures[0].key,
        bind: {
          input: 'select',
          name: 'Show ',
          options: measures.map(({ key }) => key),
          labels: measures.map(({ name }) => name),
        },
      },
      { name: 'measures', value: Object.fromEntries(facts) },
    ],
    transform: [
      { calculate: 'datum[shown]', as: 'value' },
      { calculate: server === null ? "datum[shown + '_picture']" : ADDRESS, as: 'image' },
    ],
    title: {
      text: title,
      subtitle: { expr: `measures[shown].name + ${JSON.stringify(`, mean (${unit})`)}` },
      anchor: 'start',
    },
    width: 560,
    height: 360,
    mark: { type: 'circle', size: 60, opacity: 0.8 },
    encoding: {
      x: {
        field: 'spread',
        type: 'quantitative',
        scale: axis,
        title: `Standard deviation, ${measures[0].name} (${unit})`,
      },
      y: { field: 'value', type: 'quantitative', scale: axis, title: null },
      color: { field: 'well', type: 'nominal', title: 'Well' },
      // A field that is called image becomes a picture.
      tooltip: [
        { field: 'image', type: 'nominal' },
        { field: 'well', type: 'nominal', title: 'Well' },
        { field: 'value', type: 'quantitative', title: 'Mean', format: ',.1f' },
      ],
    },
  }
}

/** The address of a row's picture. */
const ADDRESS =
  "measures[shown].picture + '&x=' + (datum.x - measures[shown].half) + '&y=' + (datum.y - measures[shown].half)"
