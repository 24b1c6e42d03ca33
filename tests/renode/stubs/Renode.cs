// The part of Renode's interfaces that the devices in boards/renode use, written from their signatures, so
// that the devices can be compiled and exercised where there is no Renode. Time stands still here until a
// test moves it: see LimitTimer.Elapse.
using System;
using System.Collections.Generic;

namespace Antmicro.Renode.Exceptions
{
    public class RecoverableException : Exception
    {
        public RecoverableException(string message) : base(message)
        {
        }
    }
}

namespace Antmicro.Renode.Utilities
{
    using System.Runtime.InteropServices;

    public static class SharedLibraries
    {
        public static IntPtr LoadLibrary(string path)
        {
            Loaded.Add(path);
            var address = dlopen(path, 2);
            if(address == IntPtr.Zero)
            {
                throw new InvalidOperationException("Error while opening dynamic library: " + path);
            }
            return address;
        }

        public static IntPtr GetSymbolAddress(IntPtr libraryAddress, string name)
        {
            var address = dlsym(libraryAddress, name);
            if(address == IntPtr.Zero)
            {
                throw new InvalidOperationException("Error while getting symbol from dynamic library: " + name);
            }
            return address;
        }

        public static readonly List<string> Loaded = new List<string>();

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlopen(string path, int flags);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlsym(IntPtr library, string name);
    }
}

namespace Antmicro.Renode.Time
{
    public enum Direction
    {
        Ascending,
        Descending
    }

    public enum WorkMode
    {
        OneShot,
        Periodic
    }

    public interface IClockSource
    {
    }
}

namespace Antmicro.Renode.Peripherals
{
    public interface IPeripheral
    {
        void Reset();
    }
}

namespace Antmicro.Renode.Logging
{
    public enum LogLevel
    {
        Debug,
        Info,
        Warning,
        Error
    }

    public static class Logger
    {
        public static void Log(this Peripherals.IPeripheral self, LogLevel level, string format, params object[] values)
        {
            Lines.Add(level + ": " + string.Format(format, values));
        }

        public static readonly List<string> Lines = new List<string>();
    }
}

namespace Antmicro.Renode.Peripherals.CPU
{
    public interface ICPU : IPeripheral
    {
        void SyncTime();
    }
}

namespace Antmicro.Renode.Peripherals.Bus
{
    public interface IBusPeripheral : IPeripheral
    {
    }

    public interface IDoubleWordPeripheral : IBusPeripheral
    {
        uint ReadDoubleWord(long offset);

        void WriteDoubleWord(long offset, uint value);
    }

    public interface IWordPeripheral : IBusPeripheral
    {
        ushort ReadWord(long offset);

        void WriteWord(long offset, ushort value);
    }

    public interface IBusController
    {
        byte ReadByte(ulong address, IPeripheral context = null, ulong? cpuState = null);

        void WriteByte(ulong address, byte value, IPeripheral context = null, ulong? cpuState = null);

        ushort ReadWord(ulong address, IPeripheral context = null, ulong? cpuState = null);

        void WriteWord(ulong address, ushort value, IPeripheral context = null, ulong? cpuState = null);

        uint ReadDoubleWord(ulong address, IPeripheral context = null, ulong? cpuState = null);

        void WriteDoubleWord(ulong address, uint value, IPeripheral context = null, ulong? cpuState = null);

        bool TryGetCurrentCPU(out CPU.ICPU cpu);
    }
}

namespace Antmicro.Renode.Peripherals
{
    public interface IKnownSize : Bus.IBusPeripheral
    {
        long Size { get; }
    }
}

namespace Antmicro.Renode.Core
{
    public interface IGPIOReceiver : Peripherals.IPeripheral
    {
        void OnGPIO(int number, bool value);
    }

    public interface IMachine
    {
        Peripherals.Bus.IBusController SystemBus { get; }

        Time.IClockSource ClockSource { get; }
    }

    public sealed class GPIO
    {
        public void Set(bool value)
        {
            if(IsSet == value)
            {
                return;
            }
            IsSet = value;
            foreach(var end in ends)
            {
                end.Key.OnGPIO(end.Value, value);
            }
        }

        public void Connect(IGPIOReceiver destination, int number)
        {
            ends.Add(new KeyValuePair<IGPIOReceiver, int>(destination, number));
        }

        public bool IsSet { get; private set; }

        public bool IsConnected
        {
            get { return ends.Count > 0; }
        }

        private readonly List<KeyValuePair<IGPIOReceiver, int>> ends = new List<KeyValuePair<IGPIOReceiver, int>>();
    }
}

namespace Antmicro.Renode.Peripherals.Memory
{
    using System.Runtime.InteropServices;

    public sealed class MappedMemory : Bus.IBusPeripheral
    {
        public MappedMemory(long size, int segmentSize)
        {
            Size = size;
            SegmentSize = segmentSize;
            segments = new IntPtr[(size + segmentSize - 1) / segmentSize];
        }

        public void TouchSegment(int segmentNo)
        {
            if(segments[segmentNo] == IntPtr.Zero)
            {
                segments[segmentNo] = Marshal.AllocHGlobal(SegmentSize);
                Marshal.Copy(new byte[SegmentSize], 0, segments[segmentNo], SegmentSize);
            }
        }

        public IntPtr GetSegment(int segmentNo)
        {
            return segments[segmentNo];
        }

        public void Reset()
        {
        }

        public int SegmentCount
        {
            get { return segments.Length; }
        }

        public int SegmentSize { get; private set; }

        public long Size { get; private set; }

        private readonly IntPtr[] segments;
    }
}

namespace Antmicro.Renode.Peripherals.Timers
{
    using Antmicro.Renode.Time;

    public class LimitTimer
    {
        public LimitTimer(IClockSource clockSource, ulong frequency, IPeripheral owner, string localName,
                          ulong limit = ulong.MaxValue, Direction direction = Direction.Descending,
                          bool enabled = false, WorkMode workMode = WorkMode.Periodic, bool eventEnabled = false,
                          bool autoUpdate = false, ulong divider = 1)
        {
            if(direction != Direction.Ascending || !eventEnabled || divider != 1)
            {
                throw new NotSupportedException("This stub counts up and gives events");
            }
            Frequency = frequency;
            Limit = limit;
            Enabled = enabled;
            mode = workMode;
            All.Add(this);
        }

        // Lets ticks of this timer's clock go by.
        public void Elapse(ulong ticks)
        {
            while(ticks > 0 && Enabled)
            {
                var step = Math.Min(ticks, Limit - Value);
                Value += step;
                ticks -= step;
                if(Value < Limit)
                {
                    continue;
                }
                Value = 0;
                Enabled = mode == WorkMode.Periodic;
                LimitReached();
            }
        }

        public ulong Limit { get; set; }

        public ulong Value { get; set; }

        public ulong Frequency { get; set; }

        public bool Enabled { get; set; }

        public event Action LimitReached;

        public static readonly List<LimitTimer> All = new List<LimitTimer>();

        private readonly WorkMode mode;
    }
}
