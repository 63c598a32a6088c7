/* holdline top, the output: columns that fit the terminal, in colour if wanted. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "tools/top/top.h"

#define NARROW 80
#define MIN_DESTINATION 21 /* 255.255.255.255:65535 */
#define MAX_DESTINATION 47 /* [2001:db8:...:ffff]:65535 */
#define NEAR_SHARE 0.8
#define NEAR_S 300
#define LINE_MAX_BYTES 512
#define BATCH_ROWS 20

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define REVERSE "\033[7m"
#define PLAIN "\033[0m"

/* Widths of the columns with variable contents; 0: not shown. */
struct layout {
	unsigned destination, source, process, place;
};

static bool is_wanted(const struct top_row *row, const char *filter)
{
	return !*filter || strstr(row->destination, filter) || strstr(row->source, filter) ||
	       strstr(row->process, filter) || strstr(row->place, filter);
}

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* The numbers take 46 columns and a blank; process and call site share the rest. */
static struct layout make_layout(const struct top_table *table, const struct top_view *view)
{
	struct layout layout = {.destination = MIN_DESTINATION};
	unsigned room, widest = 0, source = 0;

	for (size_t i = 0; i < table->n_rows; i++) {
		if (!is_wanted(&table->rows[i], view->filter))
			continue;
		widest = larger(widest, (unsigned)strlen(table->rows[i].destination));
		source = larger(source, (unsigned)strlen(table->rows[i].source));
	}
	if (view->columns == 0)
		return (struct layout){larger(widest, MIN_DESTINATION), larger(source, 4), TOP_PROCESS_MAX / 2, 1};
	if (view->columns > NARROW)
		layout.destination = larger(MIN_DESTINATION, widest < MAX_DESTINATION ? widest : MAX_DESTINATION);
	room = view->columns > layout.destination + 46 ? view->columns - layout.destination - 46 : 0;
	if (room > 60 + source) {
		layout.source = source;
		room -= source + 1;
	}
	layout.process = room > 36 ? 20 : room > 1 ? room - 1 : 0;
	layout.place = room > 36 ? room - layout.process - 2 : 0;
	return layout;
}

/* A line being built; text that doesn't fit is cut off. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t length;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->length;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* A cut text is marked as cut. */
static void add_text(struct line *line, const char *text, unsigned width)
{
	if (strlen(text) <= width)
		add(line, "%-*s", (int)width, text);
	else
		add(line, "%.*s~", (int)width - 1, text);
}

static void put_line(FILE *stream, const struct line *line, unsigned columns, const char *color)
{
	int length = columns && columns < line->length ? (int)columns : (int)line->length;

	fprintf(stream, "%s%.*s%s\n", color, length, line->text, *color ? PLAIN : "");
}

static void write_rate(char text[16], double rate)
{
	if (rate < 0)
		strcpy(text, "-");
	else
		snprintf(text, 16, rate < 100 ? "%.1f" : "%.0f", rate);
}

static void write_end(char text[16], double exhaustion_s)
{
	if (exhaustion_s <= 0)
		strcpy(text, "now");
	else if (!isfinite(exhaustion_s))
		strcpy(text, "-");
	else if (exhaustion_s < 600)
		snprintf(text, 16, "%.0f s", exhaustion_s);
	else
		snprintf(text, 16, exhaustion_s < 60000 ? "%.0f min" : ">1000 min", exhaustion_s / 60);
}

static const char *color_of(const struct top_row *row)
{
	if (row->exhaustion_s <= 0)
		return RED;
	return row->used_ratio >= NEAR_SHARE || row->exhaustion_s < NEAR_S ? YELLOW : "";
}

static void put_row(FILE *stream, const struct top_row *row, const struct layout *layout, const struct top_view *view)
{
	char dials[16], end[16], reuse[16] = "-";
	struct line line = {.length = 0};

	write_rate(dials, row->dials);
	write_end(end, row->exhaustion_s);
	if (row->reuse_ratio >= 0)
		snprintf(reuse, sizeof(reuse), "%.0f%%", 100 * row->reuse_ratio);
	add_text(&line, row->destination, layout->destination);
	if (layout->source) {
		add(&line, " ");
		add_text(&line, row->source, layout->source);
	}
	add(&line, " %5.1f%% %6s %6s %6u %6u %9s", 100 * row->used_ratio, dials, reuse, row->n_time_wait,
	    row->n_established, end);
	if (layout->process) {
		add(&line, " ");
		add_text(&line, *row->process ? row->process : "-", layout->process);
	}
	if (layout->place)
		add(&line, " %s", *row->place ? row->place : "-");
	put_line(stream, &line, view->columns, view->has_colors ? color_of(row) : "");
}

static void put_heading(FILE *stream, const struct layout *layout, const struct top_view *view)
{
	struct line line = {.length = 0};

	add(&line, "%-*s", (int)layout->destination, "DESTINATION");
	if (layout->source)
		add(&line, " %-*s", (int)layout->source, "FROM");
	add(&line, " %6s %6s %6s %6s %6s %9s", "USED", "DIAL/s", "REUSE", "T-WAIT", "ESTAB", "FULL IN");
	if (layout->process)
		add(&line, " %-*.*s", (int)layout->process, (int)layout->process, "PROCESS");
	if (layout->place)
		add(&line, " %s", "DIALED AT");
	if (view->has_colors)
		add(&line, "%*s", (int)(view->columns > line.length ? view->columns - line.length : 0), "");
	put_line(stream, &line, view->columns, view->has_colors ? REVERSE : "");
}

static void put_summary(FILE *stream, const struct top_table *table, const struct top_view *view)
{
	struct line line = {.length = 0};
	char dials[16];

	write_rate(dials, table->dials);
	add(&line, "ports %u-%u, usable %u; estab %u, t-wait %u; dials/s %s; by %s%s%s%s", table->first_port,
	    table->last_port, table->n_usable, table->n_established, table->n_time_wait, dials,
	    top_order_name(view->order), *view->filter ? "; only " : "", view->filter,
	    view->is_frozen ? "; FROZEN" : "");
	put_line(stream, &line, view->columns, "");
}

static void put_bottom(FILE *stream, const struct top_view *view, unsigned n_hidden)
{
	struct line line = {.length = 0};

	if (view->is_typing)
		add(&line, "show only: %s_   (Enter: done, Esc: all)", view->filter);
	else if (view->has_help)
		add(&line,
		    "order: u use, d dials, r reuse, t time-wait, e end, n name | / filter, space freeze, q quit");
	else
		add(&line, "h help, q quit");
	if (n_hidden && !view->is_typing)
		add(&line, "; %u more lines", n_hidden);
	put_line(stream, &line, view->columns, "");
}

void top_render(const struct top_table *table, const struct top_view *view, FILE *stream)
{
	struct layout layout = make_layout(table, view);
	bool is_screen = view->lines > 0;
	/* Two lines above, one below. */
	unsigned room = !is_screen ? BATCH_ROWS : view->lines > 3 ? view->lines - 3 : 0, n_shown = 0;
	unsigned n_hidden = 0;

	put_summary(stream, table, view);
	put_heading(stream, &layout, view);
	for (size_t i = 0; i < table->n_rows; i++) {
		if (!is_wanted(&table->rows[i], view->filter))
			continue;
		if (n_shown == room) {
			n_hidden++;
			continue;
		}
		n_shown++;
		put_row(stream, &table->rows[i], &layout, view);
	}
	for (; is_screen && n_shown < room; n_shown++)
		fputc('\n', stream);
	if (is_screen)
		put_bottom(stream, view, n_hidden);
	else if (n_hidden)
		fprintf(stream, "and %u more\n", n_hidden);
}
