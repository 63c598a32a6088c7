/* See call_filter.h. */
#include "pool/base/call_filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>

/* The registers of the classic BPF machine. */
struct machine {
	uint32_t accumulator, index, memory[BPF_MEMWORDS];
	const struct seccomp_data *call;
};

static bool load(struct machine *machine, const struct sock_filter *at, uint32_t *value)
{
	switch (BPF_MODE(at->code)) {
	case BPF_IMM:
		*value = at->k;
		return true;
	case BPF_LEN:
		*value = sizeof(*machine->call);
		return true;
	case BPF_MEM:
		if (at->k >= BPF_MEMWORDS)
			return false;
		*value = machine->memory[at->k];
		return true;
	case BPF_ABS:
		if (at->k % sizeof(*value) || at->k >= sizeof(*machine->call))
			return false;
		memcpy(value, (const char *)machine->call + at->k, sizeof(*value));
		return true;
	default:
		return false;
	}
}

static bool compute(struct machine *machine, const struct sock_filter *at)
{
	uint32_t operand = BPF_SRC(at->code) == BPF_X ? machine->index : at->k, *result = &machine->accumulator;

	switch (BPF_OP(at->code)) {
	case BPF_ADD:
		*result += operand;
		return true;
	case BPF_SUB:
		*result -= operand;
		return true;
	case BPF_MUL:
		*result *= operand;
		return true;
	case BPF_DIV:
		*result = operand ? *result / operand : 0;
		return operand != 0;
	case BPF_AND:
		*result &= operand;
		return true;
	case BPF_OR:
		*result |= operand;
		return true;
	case BPF_XOR:
		*result ^= operand;
		return true;
	case BPF_LSH:
		*result = operand < 32 ? *result << operand : 0;
		return operand < 32;
	case BPF_RSH:
		*result = operand < 32 ? *result >> operand : 0;
		return operand < 32;
	case BPF_NEG:
		*result = -*result;
		return true;
	default:
		return false;
	}
}

/* How many instructions to pass over. */
static bool jump(const struct machine *machine, const struct sock_filter *at, uint32_t *distance)
{
	uint32_t operand = BPF_SRC(at->code) == BPF_X ? machine->index : at->k, value = machine->accumulator;
	bool holds;

	switch (BPF_OP(at->code)) {
	case BPF_JA:
		*distance = at->k;
		return true;
	case BPF_JEQ:
		holds = value == operand;
		break;
	case BPF_JGT:
		holds = value > operand;
		break;
	case BPF_JGE:
		holds = value >= operand;
		break;
	case BPF_JSET:
		holds = value & operand;
		break;
	default:
		return false;
	}
	*distance = holds ? at->jt : at->jf;
	return true;
}

static bool store(struct machine *machine, const struct sock_filter *at, uint32_t value)
{
	if (at->k >= BPF_MEMWORDS)
		return false;
	machine->memory[at->k] = value;
	return true;
}

/* One that neither returns nor jumps. */
static bool execute(struct machine *machine, const struct sock_filter *at)
{
	switch (BPF_CLASS(at->code)) {
	case BPF_LD:
		return load(machine, at, &machine->accumulator);
	case BPF_LDX:
		return BPF_MODE(at->code) != BPF_ABS && load(machine, at, &machine->index);
	case BPF_ST:
		return store(machine, at, machine->accumulator);
	case BPF_STX:
		return store(machine, at, machine->index);
	case BPF_ALU:
		return compute(machine, at);
	case BPF_MISC:
		if (BPF_MISCOP(at->code) == BPF_TAX)
			machine->index = machine->accumulator;
		else
			machine->accumulator = machine->index;
		return true;
	default:
		return false;
	}
}

/* Jumps go forward only, so it ends. */
bool call_filter_allows(const struct sock_filter *program, unsigned n, const struct seccomp_data *call)
{
	struct machine machine = {.call = call};

	for (unsigned i = 0; i < n; i++) {
		const struct sock_filter *at = &program[i];
		uint32_t distance = 0;

		if (BPF_CLASS(at->code) == BPF_RET)
			return (BPF_RVAL(at->code) == BPF_A ? machine.accumulator : at->k) == SECCOMP_RET_ALLOW;
		if (BPF_CLASS(at->code) == BPF_JMP ? !jump(&machine, at, &distance) : !execute(&machine, at))
			return false;
		if (distance >= n - i)
			return false;
		i += distance;
	}
	return false;
}
