/* See forecast.h. */
#include "tools/ports/forecast.h"

#include <math.h>

/* A change of rate is believed when it makes what was seen e^5 times as likely: not for the noise of steady dials. */
#define CHANGE_LOG_LIKELIHOOD 5.0
#define ENOUGH_EVENTS 20
#define STEP_S (1.0 / PORTS_BINS_A_SECOND)
/* What foretells something. */
#define LASTING_S 2.0
#define LASTING_EVENTS 5

/* The log-likelihood of n events in a stretch of so many bins at the stretch's own rate, but for what all splits share. */
static double stretch_likelihood(unsigned n, unsigned n_bins)
{
	return n ? n * log((double)n / n_bins) : 0;
}

/* The number of youngest bins after which the rate was another one; n_bins if it was the same throughout. */
static unsigned find_change(const uint16_t *bins, unsigned n_bins, unsigned n_events)
{
	double best = stretch_likelihood(n_events, n_bins) + CHANGE_LOG_LIKELIHOOD;
	unsigned change = n_bins, n_young = 0;

	for (unsigned i = 1; i < n_bins; i++) {
		double likelihood;

		n_young += bins[i - 1];
		likelihood = stretch_likelihood(n_young, i) + stretch_likelihood(n_events - n_young, n_bins - i);
		if (likelihood > best) {
			best = likelihood;
			change = i;
		}
	}
	return change;
}

void ports_forecast_find_stretch(const uint16_t bins[PORTS_N_BINS], struct ports_stretch *stretch)
{
	/* The last bin has the late ones of the whole minute before, too. */
	unsigned n_bins = PORTS_N_BINS - 1, change = n_bins;

	do {
		n_bins = change;
		stretch->n_events = 0;
		for (unsigned i = 0; i < n_bins; i++)
			stretch->n_events += bins[i];
		change = find_change(bins, n_bins, stretch->n_events);
	} while (change < n_bins);
	stretch->seconds = n_bins * STEP_S;
	stretch->rate = stretch->n_events / (stretch->seconds > 1 ? stretch->seconds : 1);
	/* It began with an event, somewhere in its oldest bin, and ends somewhere between two. */
	if (stretch->seconds > 1 && n_bins < PORTS_N_BINS - 1 && stretch->n_events)
		stretch->rate = (stretch->n_events - 0.5) / (stretch->seconds - STEP_S / 2);
}

/* How much faster the window's dials were than their number over its length tells: few dials fit a window badly. */
static double correct_pace(const struct ports_pace *pace)
{
	double span_s = pace->last_s - pace->first_s;

	if (pace->n_dials < 3 || pace->n_dials > ENOUGH_EVENTS * 5 || span_s < pace->seconds / 2)
		return 1;
	return (double)(pace->n_dials - 1) / span_s / ((double)pace->n_dials / pace->seconds);
}

static void measure_window(const struct ports_tuple *tuple, const struct ports_pace *pace,
			   struct ports_forecast *forecast)
{
	double per_second = correct_pace(pace) / pace->seconds;
	int more = (int)ports_tuple_alive(tuple) - (int)tuple->n_before;
	int n_dials = more + (int)tuple->n_recent;
	unsigned n_churned = tuple->n_born + tuple->n_gone;
	int growth = (int)tuple->n_born - (int)tuple->n_gone;

	/* What the peer closed first has left no trace, but what is new was dialed. */
	n_dials = n_dials > (int)tuple->n_born ? n_dials : (int)tuple->n_born;
	/* Comings and goings that happen to differ a little are no growth. */
	if (n_churned >= LASTING_EVENTS && growth * growth > 4 * (int)n_churned) {
		forecast->growth = growth * per_second;
		forecast->n_events += n_churned;
	}
	forecast->dials = n_dials * per_second;
	/* The timers tell of a longer time than the window, and so more exactly. */
	if (n_dials < ENOUGH_EVENTS && forecast->closes + forecast->growth > 0)
		forecast->dials = forecast->closes + (forecast->growth > 0 ? forecast->growth : 0);
}

/* How long a closed connection holds its port against connect(). */
static double waiting_s(const struct ports_sample *sample, const struct ports_tuple *tuple)
{
	return ports_settings_reuse(&sample->settings, &tuple->key) ? sample->settings.reuse_delay_ms / 1000.0
								    : PORTS_TIME_WAIT_S;
}

/* TIME_WAITs that there are now and that will have ended, or may be reused, by then. */
static double count_freed(const struct ports_tuple *tuple, double waiting, double in_s)
{
	double first = (waiting - in_s) * PORTS_BINS_A_SECOND, n = 0;

	for (unsigned i = 0; tuple->closed && i < PORTS_N_BINS; i++) {
		double part = i + 1 - first;

		n += part >= 1 ? tuple->closed[i] : part > 0 ? part * tuple->closed[i] : 0;
	}
	return n;
}

/* What goes on as it is. */
struct trend {
	double waiting_s, closes, growth;
};

static double blocked_in(const struct ports_tuple *tuple, const struct trend *trend, double in_s)
{
	double closing_s = in_s < trend->waiting_s ? in_s : trend->waiting_s;
	double alive = ports_tuple_alive(tuple) + trend->growth * in_s;

	return (alive > 0 ? alive : 0) + trend->closes * closing_s + tuple->n_time_wait -
	       count_freed(tuple, trend->waiting_s, in_s);
}

static double find_exhaustion(const struct ports_sample *sample, const struct ports_tuple *tuple,
			      const struct trend *trend)
{
	double usable = sample->n_usable, before = blocked_in(tuple, trend, 0);

	if (ports_tuple_alive(tuple) + tuple->n_young >= sample->n_usable)
		return 0;
	for (double at_s = STEP_S; at_s <= trend->waiting_s; at_s += STEP_S) {
		double after = blocked_in(tuple, trend, at_s);

		if (after >= usable)
			return at_s - (after > before ? STEP_S * (after - usable) / (after - before) : 0);
		before = after;
	}
	/* From then on TIME_WAITs end as fast as they begin. */
	if (trend->growth > 0)
		return trend->waiting_s + (usable - blocked_in(tuple, trend, trend->waiting_s)) / trend->growth;
	return INFINITY;
}

/* Dials that could go on for ever. Where connections only become more, nothing is known of how long they will live. */
static double find_sustainable(const struct ports_sample *sample, const struct ports_tuple *tuple,
			       const struct ports_forecast *forecast)
{
	double share, held_s;

	if (forecast->dials <= 0 || forecast->growth >= forecast->dials / 2)
		return 0;
	share = forecast->closes < forecast->dials ? forecast->closes / forecast->dials : 1;
	held_s = forecast->lifetime_s + share * waiting_s(sample, tuple);
	return held_s > 0 ? sample->n_usable / held_s : 0;
}

void ports_forecast_make(const struct ports_sample *sample, const struct ports_tuple *tuple,
			 const struct ports_pace *pace, struct ports_forecast *forecast)
{
	struct trend trend = {.waiting_s = waiting_s(sample, tuple)};
	struct ports_stretch stretch = {0};

	*forecast = (struct ports_forecast){.is_past_cliff = 2 * ports_tuple_used(tuple) > sample->n_usable};
	if (tuple->closed) {
		ports_forecast_find_stretch(tuple->closed, &stretch);
		forecast->n_events = stretch.n_events;
		forecast->closes = stretch.rate;
	}
	forecast->dials = forecast->closes;
	if (pace && pace->seconds > 0)
		measure_window(tuple, pace, forecast);
	if (forecast->dials > 0)
		forecast->lifetime_s = ports_tuple_alive(tuple) / forecast->dials;
	forecast->sustainable = find_sustainable(sample, tuple, forecast);
	if (stretch.seconds >= LASTING_S && stretch.n_events >= LASTING_EVENTS)
		trend.closes = forecast->closes;
	trend.growth = forecast->growth;
	forecast->exhaustion_s = find_exhaustion(sample, tuple, &trend);
}
