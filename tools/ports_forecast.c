/* See ports_forecast.h. */
#include "tools/ports_forecast.h"

#include <math.h>

/* A change of rate is believed when it makes what was seen e^5 times as likely: not for the noise of steady dials. */
#define CHANGE_LOG_LIKELIHOOD 5.0
#define ENOUGH_EVENTS 20
#define STEP_S (1.0 / PORTS_BINS_A_SECOND)

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

double ports_forecast_rate(const uint16_t bins[PORTS_N_BINS], unsigned *n_events)
{
	/* The last bin has the late ones of the whole minute before, too. */
	unsigned n_bins = PORTS_N_BINS - 1, change = n_bins;

	do {
		n_bins = change;
		*n_events = 0;
		for (unsigned i = 0; i < n_bins; i++)
			*n_events += bins[i];
		change = find_change(bins, n_bins, *n_events);
	} while (change < n_bins);
	return *n_events / (n_bins * STEP_S);
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
	if (growth * growth > 4 * (int)n_churned) {
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

static double blocked_in(const struct ports_tuple *tuple, const struct ports_forecast *forecast, double waiting,
			 double in_s)
{
	double closing_s = in_s < waiting ? in_s : waiting, alive = ports_tuple_alive(tuple) + forecast->growth * in_s;

	return (alive > 0 ? alive : 0) + forecast->closes * closing_s + tuple->n_time_wait -
	       count_freed(tuple, waiting, in_s);
}

static double find_exhaustion(const struct ports_sample *sample, const struct ports_tuple *tuple,
			      const struct ports_forecast *forecast)
{
	double waiting = waiting_s(sample, tuple), usable = sample->n_usable,
	       before = blocked_in(tuple, forecast, waiting, 0);

	if (ports_tuple_alive(tuple) + tuple->n_young >= sample->n_usable)
		return 0;
	for (double at_s = STEP_S; at_s <= waiting; at_s += STEP_S) {
		double after = blocked_in(tuple, forecast, waiting, at_s);

		if (after >= usable)
			return at_s - (after > before ? STEP_S * (after - usable) / (after - before) : 0);
		before = after;
	}
	/* From then on TIME_WAITs end as fast as they begin. */
	if (forecast->growth > 0)
		return waiting + (usable - blocked_in(tuple, forecast, waiting, waiting)) / forecast->growth;
	return INFINITY;
}

void ports_forecast_make(const struct ports_sample *sample, const struct ports_tuple *tuple,
			 const struct ports_pace *pace, struct ports_forecast *forecast)
{
	double held_s;

	*forecast = (struct ports_forecast){.is_past_cliff = 2 * ports_tuple_used(tuple) > sample->n_usable};
	if (tuple->closed)
		forecast->closes = ports_forecast_rate(tuple->closed, &forecast->n_events);
	forecast->dials = forecast->closes;
	if (pace && pace->seconds > 0)
		measure_window(tuple, pace, forecast);
	/* Where connections only become more, nothing is known of how long they will live. */
	if (forecast->dials > 0 && forecast->growth < forecast->dials / 2) {
		double share = forecast->closes < forecast->dials ? forecast->closes / forecast->dials : 1;

		forecast->lifetime_s = ports_tuple_alive(tuple) / forecast->dials;
		held_s = forecast->lifetime_s + share * waiting_s(sample, tuple);
		forecast->sustainable = held_s > 0 ? sample->n_usable / held_s : 0;
	}
	forecast->exhaustion_s = find_exhaustion(sample, tuple, forecast);
}
