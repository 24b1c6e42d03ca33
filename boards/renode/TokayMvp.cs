// The EFR32xG24's accelerator for Renode: registers, programs and cycles are those of the project's one C
// model (host/simulator/mvp), called through its shared library; this file gives it Renode's memory, time
// and interrupt line.
//
// Compiled by Renode at run time (include), so it keeps to C# 7 and to what every Renode assembly has.
using System;
using System.Runtime.InteropServices;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Memory;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;
using Antmicro.Renode.Utilities;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    public class TokayMvp : IDoubleWordPeripheral, IKnownSize, IDisposable
    {
        public TokayMvp(IMachine machine, MappedMemory ram, MappedMemory flash, ulong ramBase = 0x20000000,
                        ulong flashBase = 0x08000000, ulong frequency = 78000000)
        {
            this.machine = machine;
            this.ram = ram;
            this.flash = flash;
            this.ramBase = ramBase;
            this.flashBase = flashBase;
            IRQ = new GPIO();
            busRead = ReadBus;
            busWrite = WriteBus;
            timer = new LimitTimer(machine.ClockSource, frequency, this, "program", ulong.MaxValue,
                                   direction: Direction.Ascending, enabled: false, workMode: WorkMode.OneShot,
                                   eventEnabled: true, autoUpdate: true);
            timer.LimitReached += ProgramEnds;
            wake = new LimitTimer(machine.ClockSource, frequency, this, "wake", ulong.MaxValue,
                                  direction: Direction.Ascending, enabled: false, workMode: WorkMode.OneShot,
                                  eventEnabled: true, autoUpdate: true);
            wake.LimitReached += WakeAgain;
        }

        public uint ReadDoubleWord(long offset)
        {
            if(native == null)
            {
                this.Log(LogLevel.Error, "No library: set it with 'sysbus.mvp Library'");
                return 0;
            }
            CatchUp();
            return native.Read(model, (uint)offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            if(native == null)
            {
                this.Log(LogLevel.Error, "No library: set it with 'sysbus.mvp Library'");
                return;
            }
            CatchUp();
            var before = native.Remaining(model);
            native.Write(model, (uint)offset, value);
            var remaining = native.Remaining(model);
            if(failing && offset % AliasBytes == CommandOffset && (value & CommandStart) != 0)
            {
                // A program runs to its end within the write that starts it; only its end takes time.
                failing = false;
                AddMemory();
            }
            if(remaining != before)
            {
                Wait(remaining);
            }
            UpdateInterrupt();
        }

        public void Reset()
        {
            Stop();
            wake.Enabled = false;
            failing = false;
            if(native != null)
            {
                Initialize();
            }
            IRQ.Set(false);
        }

        public void Dispose()
        {
            if(model != IntPtr.Zero)
            {
                Marshal.FreeHGlobal(model);
                model = IntPtr.Zero;
                native = null;
            }
        }

        // The next program finds no memory at all: the model itself raises the bus error.
        public void FailNextProgram()
        {
            if(native == null)
            {
                throw new RecoverableException("The MVP has no library yet");
            }
            failing = true;
            native.RemoveWindows(model);
        }

        // Path of libtokay_native.so.
        public string Library
        {
            get { return library; }

            set
            {
                Dispose();
                native = new TokayMvpLibrary(value);
                model = Marshal.AllocHGlobal((int)native.Size().ToUInt64());
                library = value;
                Initialize();
            }
        }

        // 0: each load stream has its own way to memory. 1: both share one. As host.profile --timing.
        public int Timing
        {
            get { return timing; }

            set
            {
                if(value != 0 && value != 1)
                {
                    throw new RecoverableException("Timing is 0 (ports) or 1 (shared)");
                }
                timing = value;
                Reset();
            }
        }

        public long Size
        {
            get { return 0x4000; }
        }

        public GPIO IRQ { get; private set; }

        private void Initialize()
        {
            native.Initialize(model, timing, 0);
            var bus = new TokayMvpLibrary.Bus
            {
                Read = Marshal.GetFunctionPointerForDelegate(busRead),
                Write = Marshal.GetFunctionPointerForDelegate(busWrite),
                Context = IntPtr.Zero,
            };
            native.SetBus(model, ref bus);
            AddMemory();
        }

        // Renode keeps memory in segments; each is a window of the model. What is over goes by the bus.
        private void AddMemory()
        {
            native.RemoveWindows(model);
            AddMemory(ram, ramBase, 1);
            AddMemory(flash, flashBase, 0);
        }

        private void AddMemory(MappedMemory memory, ulong start, byte writable)
        {
            for(var i = 0; i < memory.SegmentCount; i++)
            {
                var offset = (long)i * memory.SegmentSize;
                var bytes = Math.Min(memory.SegmentSize, memory.Size - offset);
                memory.TouchSegment(i);
                if(native.AddWindow(model, (uint)(start + (ulong)offset), (uint)bytes, memory.GetSegment(i), writable) == 0)
                {
                    this.Log(LogLevel.Warning, "More memory segments than windows: some accesses will be slow");
                    return;
                }
            }
        }

        private void Stop()
        {
            timer.Enabled = false;
            waiting = false;
            advanced = 0;
        }

        private void Wait(ulong remaining)
        {
            Stop();
            if(remaining == 0)
            {
                return;
            }
            // Without it the time would count from the start of the core's present time slice.
            if(machine.SystemBus.TryGetCurrentCPU(out var cpu))
            {
                cpu.SyncTime();
            }
            timer.Limit = remaining;
            timer.Value = 0;
            timer.Enabled = true;
            waiting = true;
        }

        // Tells the model the time that has gone by in the present program.
        private void CatchUp()
        {
            if(!waiting)
            {
                return;
            }
            if(machine.SystemBus.TryGetCurrentCPU(out var cpu))
            {
                cpu.SyncTime();
            }
            // Synchronizing may have ended it.
            var now = waiting ? timer.Value : advanced;
            if(now > advanced)
            {
                native.Advance(model, now - advanced);
                advanced = now;
            }
        }

        private void ProgramEnds()
        {
            Stop();
            if(native == null)
            {
                return;
            }
            native.Advance(model, native.Remaining(model));
            UpdateInterrupt();
        }

        private void UpdateInterrupt()
        {
            var set = native.Interrupt(model) != 0;
            if(set == IRQ.IsSet)
            {
                return;
            }
            IRQ.Set(set);
            if(set)
            {
                WakeIn(FirstWake);
            }
            else
            {
                wake.Enabled = false;
            }
        }

        // Renode's core falls asleep also where a masked interrupt is pending already, and sleeps until something
        // else happens or the quantum ends; the chip's goes on at once. So events follow while the interrupt is
        // set, each as far away as all before it: who sleeps after a program's end loses at most twice the time
        // since then.
        private void WakeIn(ulong cycles)
        {
            wakeCycles = cycles;
            wake.Limit = cycles;
            wake.Value = 0;
            wake.Enabled = true;
        }

        private void WakeAgain()
        {
            if(IRQ.IsSet && wakeCycles < LastWake)
            {
                WakeIn(2 * wakeCycles);
            }
        }

        private byte ReadBus(IntPtr context, uint address, uint bytes, IntPtr value)
        {
            if(failing || !IsMemory(address))
            {
                return 0;
            }
            var bus = machine.SystemBus;
            var word = bytes == 1 ? bus.ReadByte(address) : bytes == 2 ? bus.ReadWord(address) : bus.ReadDoubleWord(address);
            Marshal.WriteInt32(value, unchecked((int)word));
            return 1;
        }

        private byte WriteBus(IntPtr context, uint address, uint bytes, uint value)
        {
            if(failing || address - ramBase >= (ulong)ram.Size)
            {
                return 0;
            }
            var bus = machine.SystemBus;
            switch(bytes)
            {
            case 1:
                bus.WriteByte(address, (byte)value);
                break;
            case 2:
                bus.WriteWord(address, (ushort)value);
                break;
            default:
                bus.WriteDoubleWord(address, value);
                break;
            }
            return 1;
        }

        private bool IsMemory(uint address)
        {
            return address - ramBase < (ulong)ram.Size || address - flashBase < (ulong)flash.Size;
        }

        private TokayMvpLibrary native;
        private IntPtr model;
        private string library;
        private int timing;
        private bool failing;
        private bool waiting; // for the timer: asking it whether it is enabled costs more than a register's access
        private ulong wakeCycles;
        private ulong advanced; // cycles of the present program that the model knows of

        private const long AliasBytes = 0x1000;
        private const long CommandOffset = 0x174;
        private const uint CommandStart = 1;
        private const ulong FirstWake = 32; // cycles
        private const ulong LastWake = 65536;

        private readonly IMachine machine;
        private readonly MappedMemory ram;
        private readonly MappedMemory flash;
        private readonly ulong ramBase;
        private readonly ulong flashBase;
        private readonly LimitTimer timer;
        private readonly LimitTimer wake;
        // The model holds pointers to these: they must stay.
        private readonly TokayMvpLibrary.BusRead busRead;
        private readonly TokayMvpLibrary.BusWrite busWrite;
    }

    // The functions of host/simulator/mvp/mvp.h. C's bool is a byte.
    public class TokayMvpLibrary
    {
        public TokayMvpLibrary(string path)
        {
            library = Open(path);
            Size = Find<SizeFunction>("mvp_size");
            Initialize = Find<InitializeFunction>("mvp_init");
            SetBus = Find<SetBusFunction>("mvp_set_bus");
            AddWindow = Find<AddWindowFunction>("mvp_add_window");
            RemoveWindows = Find<ActFunction>("mvp_remove_windows");
            Read = Find<ReadFunction>("mvp_read");
            Write = Find<WriteFunction>("mvp_write");
            Remaining = Find<RemainingFunction>("mvp_remaining");
            Advance = Find<AdvanceFunction>("mvp_advance");
            Interrupt = Find<InterruptFunction>("mvp_irq");
        }

        public readonly SizeFunction Size;
        public readonly InitializeFunction Initialize;
        public readonly SetBusFunction SetBus;
        public readonly AddWindowFunction AddWindow;
        public readonly ActFunction RemoveWindows;
        public readonly ReadFunction Read;
        public readonly WriteFunction Write;
        public readonly RemainingFunction Remaining;
        public readonly AdvanceFunction Advance;
        public readonly InterruptFunction Interrupt;

        private T Find<T>(string name)
        {
            try
            {
                return (T)(object)Marshal.GetDelegateForFunctionPointer(SharedLibraries.GetSymbolAddress(library, name), typeof(T));
            }
            catch(InvalidOperationException)
            {
                throw new RecoverableException("The MVP's library has no " + name + " (build it with: make native)");
            }
        }

        // By Renode's own loader: which one a system and a runtime have, its compiler does not tell us.
        private static IntPtr Open(string path)
        {
            try
            {
                return SharedLibraries.LoadLibrary(path);
            }
            catch(InvalidOperationException e)
            {
                throw new RecoverableException("Cannot load the MVP's library (build it with: make native): " + e.Message);
            }
        }

        private readonly IntPtr library;

        [StructLayout(LayoutKind.Sequential)]
        public struct Bus
        {
            public IntPtr Read;
            public IntPtr Write;
            public IntPtr Context;
        }

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate byte BusRead(IntPtr context, uint address, uint bytes, IntPtr value);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate byte BusWrite(IntPtr context, uint address, uint bytes, uint value);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate UIntPtr SizeFunction();

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void InitializeFunction(IntPtr model, int timing, byte atOnce);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void SetBusFunction(IntPtr model, ref Bus bus);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate byte AddWindowFunction(IntPtr model, uint start, uint bytes, IntPtr memory, byte writable);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void ActFunction(IntPtr model);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate uint ReadFunction(IntPtr model, uint offset);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void WriteFunction(IntPtr model, uint offset, uint value);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate ulong RemainingFunction(IntPtr model);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void AdvanceFunction(IntPtr model, ulong cycles);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate byte InterruptFunction(IntPtr model);
    }
}
