/* See chart.h. */
#include "tools/report/chart.h"

#include <math.h>
#include <stdbool.h>

#include "tools/report/read.h"

/* In units of the drawing, which is as wide as the page. */
#define WIDTH 880.0
#define HEIGHT 240.0
#define LEFT 52.0
#define RIGHT 12.0
#define TOP 18.0
#define BOTTOM 30.0
#define N_TICKS 4
/* A limit of more than this many times all values would flatten the curve. */
#define LIMIT_IN_SIGHT 4

struct frame {
	FILE *stream;
	const struct chart *chart;
	double top; /* the value at the upper edge */
};

static double x_of(const struct frame *frame, double seconds)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * seconds / frame->chart->seconds;
}

static double y_of(const struct frame *frame, double value)
{
	return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / frame->top;
}

/* The smallest of 1, 2 or 5 times a power of ten that is `least` or more. */
static double nice_step(double least)
{
	double power = pow(10, floor(log10(least)));

	if (least <= power)
		return power;
	if (least <= 2 * power)
		return 2 * power;
	return least <= 5 * power ? 5 * power : 10 * power;
}

/* The same for time: also steps that clocks show. */
static double nice_seconds(double least)
{
	static const double steps[] = {60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400};

	if (least <= 30)
		return nice_step(least) > 20 ? 30 : nice_step(least);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (least <= steps[i])
			return steps[i];
	return 86400 * nice_step(least / 86400);
}

static void print_short(FILE *stream, double number)
{
	if (number >= 1e6)
		fprintf(stream, "%.3gM", number / 1e6);
	else if (number >= 1e4)
		fprintf(stream, "%.3gk", number / 1e3);
	else
		fprintf(stream, "%.4g", number);
}

static void print_clock(FILE *stream, double seconds, double step)
{
	if (step < 60)
		fprintf(stream, "%.3g s", seconds);
	else if (step < 3600)
		fprintf(stream, "%.0f min", seconds / 60);
	else
		fprintf(stream, "%.4g h", seconds / 3600);
}

static void print_grid(const struct frame *frame)
{
	double step = nice_step(frame->top / N_TICKS), time_step = nice_seconds(frame->chart->seconds / 8);

	for (double value = 0; value <= frame->top * 1.0001; value += step) {
		fprintf(frame->stream, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
			WIDTH - RIGHT, y_of(frame, value), y_of(frame, value));
		fprintf(frame->stream, "<text class=\"tick end\" x=\"%.1f\" y=\"%.1f\">", LEFT - 8,
			y_of(frame, value) + 4);
		print_short(frame->stream, value);
		fputs("</text>\n", frame->stream);
	}
	for (double seconds = 0; seconds <= frame->chart->seconds; seconds += time_step) {
		fprintf(frame->stream, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">", x_of(frame, seconds), HEIGHT - 8);
		print_clock(frame->stream, seconds, time_step);
		fputs("</text>\n", frame->stream);
	}
}

static bool shows_limit(const struct frame *frame)
{
	return frame->chart->limit > 0 && frame->chart->limit <= frame->top;
}

static void print_limit(const struct frame *frame)
{
	double y = y_of(frame, frame->chart->limit);

	if (!shows_limit(frame))
		return;
	fprintf(frame->stream, "<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
		WIDTH - RIGHT, y, y);
	fprintf(frame->stream, "<text class=\"limit end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", WIDTH - RIGHT - 4, y - 6,
		frame->chart->limit_label);
}

static void begin(struct frame *frame, FILE *stream, const struct chart *chart, double greatest)
{
	double least = greatest > 0 ? greatest : 1;

	if (chart->limit > 0 && chart->limit <= LIMIT_IN_SIGHT * greatest && chart->limit > least)
		least = chart->limit * 1.02;
	*frame = (struct frame){.stream = stream, .chart = chart};
	frame->top = nice_step(least / N_TICKS);
	frame->top *= ceil(least * 1.0001 / frame->top);
	fprintf(stream, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT,
		chart->label);
	print_grid(frame);
}

static double sum_at(const struct chart *chart, size_t i)
{
	double sum = 0;

	for (size_t s = 0; s < chart->n_series; s++)
		sum += chart->series[s].values[i];
	return sum;
}

static double greatest_of(const struct chart *chart)
{
	double greatest = 0;

	for (size_t i = 0; i < chart->n; i++)
		greatest = fmax(greatest, sum_at(chart, i));
	return greatest;
}

static void print_bar(const struct frame *frame, size_t i)
{
	const struct chart *chart = frame->chart;
	double from = x_of(frame, chart->seconds * (double)i / (double)chart->n);
	double to = x_of(frame, chart->seconds * (double)(i + 1) / (double)chart->n), below = 0;
	char when[REPORT_TEXT_MAX];

	fputs("<g>", frame->stream);
	for (size_t s = 0; s < chart->n_series; s++) {
		double value = chart->series[s].values[i];

		if (value <= 0)
			continue;
		fprintf(frame->stream, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
			chart->series[s].class_name, from + 0.5, y_of(frame, below + value), fmax(to - from - 1, 0.5),
			y_of(frame, below) - y_of(frame, below + value));
		below += value;
	}
	fprintf(frame->stream, "<rect class=\"pointer\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>%s",
		from, TOP, to - from, HEIGHT - TOP - BOTTOM,
		report_duration(chart->seconds * ((double)i + 0.5) / (double)chart->n, when));
	for (size_t s = 0; s < chart->n_series; s++)
		fprintf(frame->stream, "\n%s: %.1f/s", chart->series[s].name, chart->series[s].values[i]);
	fputs("</title></rect></g>\n", frame->stream);
}

void chart_print_bars(FILE *stream, const struct chart *chart)
{
	struct frame frame;

	begin(&frame, stream, chart, greatest_of(chart));
	for (size_t i = 0; i < chart->n; i++)
		print_bar(&frame, i);
	fputs("</svg>\n", stream);
}

static double x_at(const struct frame *frame, size_t i)
{
	return x_of(frame, frame->chart->seconds * ((double)i + 0.5) / (double)frame->chart->n);
}

static void print_path(const struct frame *frame)
{
	const double *values = frame->chart->series[0].values;
	size_t n = frame->chart->n;

	for (size_t i = 0; i < n; i++)
		fprintf(frame->stream, "%c%.2f %.2f", i ? 'L' : 'M', x_at(frame, i), y_of(frame, values[i]));
}

static void print_peak(const struct frame *frame)
{
	const double *values = frame->chart->series[0].values;
	char text[REPORT_TEXT_MAX];
	size_t peak = 0;
	double x;

	for (size_t i = 1; i < frame->chart->n; i++)
		if (values[i] > values[peak])
			peak = i;
	x = x_at(frame, peak);
	fprintf(frame->stream, "<circle class=\"%s\" cx=\"%.2f\" cy=\"%.2f\" r=\"3.5\"/>",
		frame->chart->series[0].class_name, x, y_of(frame, values[peak]));
	fprintf(frame->stream, "<text class=\"peak%s\" x=\"%.2f\" y=\"%.2f\">%s</text>\n",
		x > WIDTH / 2 ? " end" : " start", x + (x > WIDTH / 2 ? -8 : 8),
		fmax(y_of(frame, values[peak]) - 8, TOP - 5), report_count(values[peak], text));
}

static void print_pointers(const struct frame *frame)
{
	const struct chart *chart = frame->chart;
	double width = (WIDTH - LEFT - RIGHT) / (double)chart->n;
	char when[REPORT_TEXT_MAX], count[REPORT_TEXT_MAX];

	for (size_t i = 0; i < chart->n; i++)
		fprintf(frame->stream,
			"<rect class=\"pointer\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>%s\n%s: %s</title></rect>\n",
			x_at(frame, i) - width / 2, TOP, width, HEIGHT - TOP - BOTTOM,
			report_duration(chart->seconds * ((double)i + 0.5) / (double)chart->n, when),
			chart->series[0].name, report_count(chart->series[0].values[i], count));
}

void chart_print_line(FILE *stream, const struct chart *chart)
{
	struct frame frame;

	begin(&frame, stream, chart, greatest_of(chart));
	print_limit(&frame);
	fprintf(stream, "<path class=\"ground %s\" d=\"", chart->series[0].class_name);
	print_path(&frame);
	fprintf(stream, "L%.2f %.2fL%.2f %.2fZ\"/>", x_at(&frame, chart->n - 1), y_of(&frame, 0), x_at(&frame, 0),
		y_of(&frame, 0));
	fprintf(stream, "<path class=\"line %s\" d=\"", chart->series[0].class_name);
	print_path(&frame);
	fputs("\"/>\n", stream);
	print_peak(&frame);
	print_pointers(&frame);
	fputs("</svg>\n", stream);
}
