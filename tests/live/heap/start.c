// SPDX-License-Identifier: MIT
// Where the program begins. The compiler's own crt1.o asks for __libc_start_main in the
// version of the libc it was built with (GLIBC_2.34 on Debian 12); this one asks for the
// first version, which every x86-64 glibc still has, so that the same file runs through
// the loader of an older libc.

int main(int argc, char **argv);
int __libc_start_main(int (*main)(int, char **), int argc, char **argv,
		      void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
		      void *stack_end);
__asm__(".symver __libc_start_main,__libc_start_main@GLIBC_2.2.5");

// The entry point, as the x86-64 ABI hands over: argc at rsp, rtld's function in rdx.
__asm__(".globl _start\n"
	".type _start,@function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	and $-16, %rsp\n"
	"	call start_program\n"
	"	hlt\n");

void start_program(long *stack, void (*rtld_fini)(void));
__attribute__((used)) void start_program(long *stack, void (*rtld_fini)(void))
{
	__libc_start_main(main, (int)stack[0], (char **)(stack + 1), 0, 0, rtld_fini,
			  stack);
	__builtin_trap();
}
