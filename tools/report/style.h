/* How the HTML of a report looks: its style sheet, for light and dark. */
#pragma once

extern const char report_style[];
