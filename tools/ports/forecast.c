/* See forecast.h. */
#include "tools/ports/forecast.h"

#include <math.h>

/* A change of rate counts if it makes the observation e^5 times as likely: the noise of steady dials never does. */
#define CHANGE_LOG_LIKELIHOOD 5.0
#define ENOUGH_EVENTS 20
#define STEP_S (1.0 / PORTS_BINS_A_SECOND)
/* The fewest events that allow a forecast. */
#define LASTING_S 2.0
#define LASTING_EVENTS 5

/* The log-likelihood of n events in a stretch of so many bins at the stretch's own rate, without the terms that all
 * splits share. */
static double stretch_likelihood(unsigned n, unsigned n_bins)
{
	return n ? n * log((double)n / n_bins) : 0;
}

/* The number of youngest bins since the rate last changed; n_bins if it never did. */
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
	/* The last bin also has the late timers of the whole minute before. */
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
	/* The stretch began with an event, somewhere in its oldest bin, and ends somewhere between two events. */
	if (stretch->seconds > 1 && n_bins < PORTS_N_BINS - 1 && stretch->n_events)
		stretch->rate = (stretch->n_events - 0.5) / (stretch->seconds - STEP_S / 2);
}

/* The factor by which the window's dials were faster than number over length says: few dials fit a window badly. */
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

	/* Connections that the peer closed first leave no trace, but new ones were dialed. */
	n_dials = n_dials > (int)tuple->n_born ? n_dials : (int)tuple->n_born;
	/* Arrivals and departures that happen to differ a little are no growth. */
	if (n_churned >= LASTING_EVENTS && growth * growth > 4 * (int)n_churned) {
		forecast->growth = growth * per_second;
		forecast->n_events += n_churned;
	}
	forecast->dials = n_dials * per_second;
	/* The timers cover a longer time than the window, and so are more exact. */
	if (n_dials < ENOUGH_EVENTS && forecast->closes + forecast->growth > 0)
		forecast->dials = forecast->closes + (forecast->growth > 0 ? forecast->growth : 0);
}

/* How long a closed connection holds its port against connect(). */
static double waiting_s(const struct ports_sample *sample, const struct ports_tuple *tuple)
{
	return ports_settings_reuse(&sample->settings, &tuple->key) ? sample->settings.reuse_delay_ms / 1000.0
								    : PORTS_TIME_WAIT_S;
}

/* TIME_WAITs of now that will have ended, or may be reused, by then. */
static double count_freed(const struct ports_tuple *tuple, double waiting, double in_s)
{
	double first = (waiting - in_s) * PORTS_BINS_A_SECOND, n = 0;

	for (unsigned i = 0; tuple->closed && i < PORTS_N_BINS; i++) {
		double part = i + 1 - first;

		n += part >= 1 ? tuple->closed[i] : part > 0 ? part * tuple->closed[i] : 0;
	}
	return n;
}

/* The forecast for rates that stay as they are. */
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
	/* Most tuples are small, and there may be thousands. */
	if (trend->growth <= 0 && ports_tuple_used(tuple) + trend->closes * trend->waiting_s < usable)
		return INFINITY;
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

/* Dials a second that could go on for ever. If connections only accumulate, their lifetime is unknown. */
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
